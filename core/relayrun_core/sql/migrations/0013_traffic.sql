-- Agents that share their graphs' names by weight: a thread stays with the one that it last ran on.

ALTER TABLE assistants ADD COLUMN by_agent boolean NOT NULL DEFAULT false;         -- made of `agent/graph`
ALTER TABLE assistant_versions ADD COLUMN by_agent boolean NOT NULL DEFAULT false; -- made of `agent/graph`

-- Accepts a run as `relayrun_create_run` does. `p_peers` are the agents that share the graph's name, NULL for none: a
-- thread that last ran on one of them stays there, else it is `p_agent` that gets the run.
CREATE FUNCTION relayrun_create_run_v2(
    p_run uuid, p_thread uuid, p_owner text, p_name text, p_thread_metadata jsonb, p_agent text, p_graph text,
    p_assistant uuid, p_spec jsonb, p_create_thread boolean, p_require_not_interrupted boolean, p_object jsonb,
    p_delay interval, p_peers text[]
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_agent text := p_agent;
    v_last text;
BEGIN
    IF p_peers IS NOT NULL THEN
        SELECT agent INTO v_last FROM threads WHERE thread_id = p_thread FOR UPDATE;
        IF NOT FOUND THEN
            -- There is no row to lock yet: of two first runs the second waits here, and sees the first one's.
            PERFORM pg_advisory_xact_lock(hashtextextended(p_thread::text, 7263));
            SELECT agent INTO v_last FROM threads WHERE thread_id = p_thread;
        END IF;
        IF v_last = ANY (p_peers) THEN
            v_agent := v_last;
        END IF;
    END IF;
    RETURN relayrun_create_run(
        p_run, p_thread, p_owner, p_name, p_thread_metadata, v_agent, p_graph, p_assistant, p_spec, p_create_thread,
        p_require_not_interrupted, p_object, p_delay);
END $$;

-- Accepts runs, all or none, once for an idempotency key and at most so many for a subject; NULL for no limit, no key.
-- `p_runs` is an array of objects with the parameters of `relayrun_create_run_v2` as run, thread, owner, name,
-- thread_metadata, agent, graph, assistant, spec, create, not_interrupted, object, delay_seconds and peers. Of several,
-- each has a thread of its own. `runs` are their ids, or those of the same request before. Answers also Replayed (then
-- `runs` are the first ones), KeyReused or RateLimited; `remaining` and `seconds` are of the limit, NULL where there is
-- none.
CREATE OR REPLACE FUNCTION relayrun_start_runs(
    p_runs jsonb, p_subject text, p_limit bigint, p_window interval, p_key_owner text, p_key text, p_fingerprint bytea,
    OUT answer text, OUT runs uuid[], OUT remaining bigint, OUT seconds double precision
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_count bigint := jsonb_array_length(p_runs);
    v_used bigint;
    v_newest bigint;
    v_moment timestamptz;
    v_run record;
BEGIN
    SELECT array_agg((e.value ->> 'run')::uuid ORDER BY e.ordinality) INTO runs
    FROM jsonb_array_elements(p_runs) WITH ORDINALITY AS e;
    -- Lock order: the subject, the key, then as everywhere.
    IF p_limit IS NOT NULL THEN
        SELECT u.used, u.seconds, u.moment, u.newest INTO v_used, seconds, v_moment, v_newest
        FROM relayrun_used(p_subject, p_window) AS u;
        remaining := greatest(p_limit - v_used, 0);
    END IF;
    IF p_key IS NOT NULL THEN
        -- Waits for whoever uses the same key just now.
        INSERT INTO idempotency_keys AS k (owner, key, fingerprint, run_id, run_ids)
        VALUES (p_key_owner, p_key, p_fingerprint, runs[1], runs)
        ON CONFLICT (owner, key) DO UPDATE
        SET fingerprint = EXCLUDED.fingerprint, run_id = EXCLUDED.run_id, run_ids = EXCLUDED.run_ids,
            created_at = now()
        WHERE k.created_at <= now() - interval '24 hours' OR k.run_id = EXCLUDED.run_id;
        IF NOT FOUND THEN
            SELECT CASE WHEN k.fingerprint = p_fingerprint THEN 'Replayed' ELSE 'KeyReused' END,
                   coalesce(k.run_ids, ARRAY[k.run_id])
            INTO answer, runs FROM idempotency_keys k WHERE k.owner = p_key_owner AND k.key = p_key;
            RETURN;
        END IF;
    END IF;
    answer := 'Created';
    IF EXISTS (SELECT 1 FROM runs r WHERE r.run_id = runs[1]) THEN
        RETURN;                                                 -- told twice: the first answer was lost
    END IF;
    IF p_limit IS NOT NULL AND v_used + v_count > p_limit THEN
        answer := 'RateLimited';
        -- So many of the newest may stay in the window.
        SELECT extract(epoch FROM s.started_at + p_window - v_moment) INTO seconds FROM run_starts s
        WHERE s.subject = p_subject AND s.number = v_newest - p_limit + v_count
        ORDER BY s.started_at DESC LIMIT 1;
    ELSE
        BEGIN
            FOR v_run IN
                SELECT * FROM jsonb_to_recordset(p_runs) AS e (
                    run uuid, thread uuid, owner text, name text, thread_metadata jsonb, agent text, graph text,
                    assistant uuid, spec jsonb, "create" boolean, not_interrupted boolean, object jsonb,
                    delay_seconds double precision, peers text[])
            LOOP
                answer := relayrun_create_run_v2(
                    v_run.run, v_run.thread, v_run.owner, v_run.name, v_run.thread_metadata, v_run.agent, v_run.graph,
                    v_run.assistant, v_run.spec, v_run."create", v_run.not_interrupted, v_run.object,
                    make_interval(secs => v_run.delay_seconds), v_run.peers);
                IF answer <> 'Created' THEN
                    RAISE EXCEPTION 'refused' USING ERRCODE = 'RR002';
                END IF;
            END LOOP;
        EXCEPTION WHEN SQLSTATE 'RR002' THEN
            NULL;                                               -- those before it are not accepted either
        END;
    END IF;
    IF answer <> 'Created' THEN
        DELETE FROM idempotency_keys WHERE owner = p_key_owner AND key = p_key;
    ELSIF p_limit IS NOT NULL THEN
        INSERT INTO run_starts (subject, started_at, number)
        SELECT p_subject, v_moment + make_interval(secs => (n - 1) / 1e6), v_newest + n
        FROM generate_series(1, v_count) AS n;
        remaining := p_limit - v_used - v_count;
    END IF;
END $$;
