-- Runs that start later, several runs that are accepted together, and webhooks.

-- `delayed`: accepted for later. Until its time, which is its `created_at`, a run has no place in its thread's line (its
-- number is 0) and is nobody's concern but that of who lines it up.
ALTER TABLE runs DROP CONSTRAINT runs_status_check;
ALTER TABLE runs ADD CONSTRAINT runs_status_check CHECK (status IN
    ('delayed', 'pending', 'running', 'success', 'interrupted', 'error', 'timeout', 'cancelled'));
-- By when there is something to do: to start it, or to end it because a later run displaced it.
CREATE INDEX runs_delayed ON runs (coalesce(cancel_requested_at, created_at)) WHERE status = 'delayed';

ALTER TABLE idempotency_keys ADD COLUMN run_ids uuid[];       -- all runs of a request that started several, in order

-- Accepts a run as `relayrun_create_run_v2` does; with a delay it is accepted for later. What is refused leaves nothing
-- behind, a new thread neither.
CREATE FUNCTION relayrun_create_run_v3(
    p_run uuid, p_thread uuid, p_owner text, p_name text, p_thread_metadata jsonb, p_agent text, p_graph text,
    p_assistant uuid, p_spec jsonb, p_create_thread boolean, p_require_not_interrupted boolean, p_object jsonb,
    p_delay interval
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_thread threads;
    v_busy boolean;
    v_new boolean := false;
    v_spec jsonb := p_spec;
    v_strategy text := p_spec ->> 'multitask_strategy';
    v_starts_at timestamptz := CASE WHEN p_delay > interval '0' THEN now() + p_delay END;
BEGIN
    LOOP
        IF p_create_thread THEN
            INSERT INTO threads (thread_id, owner, name, metadata)
            VALUES (p_thread, p_owner, p_name, p_thread_metadata) ON CONFLICT (thread_id) DO NOTHING;
            v_new := FOUND;
        END IF;
        SELECT * INTO v_thread FROM threads WHERE thread_id = p_thread FOR UPDATE;
        EXIT WHEN FOUND OR NOT p_create_thread;              -- else it was being deleted, and is gone now
    END LOOP;
    IF v_thread.thread_id IS NULL OR v_thread.owner IS DISTINCT FROM p_owner THEN
        RETURN 'ThreadNotFound';
    END IF;
    IF EXISTS (SELECT 1 FROM runs WHERE run_id = p_run AND thread_id = p_thread) THEN
        RETURN 'Created';                                    -- told twice: the first answer was lost
    END IF;
    v_busy := EXISTS (SELECT 1 FROM runs WHERE thread_id = p_thread AND status IN ('pending', 'running'));
    IF v_strategy = 'reject' AND (v_busy OR EXISTS (
        SELECT 1 FROM runs WHERE thread_id = p_thread AND status = 'delayed' AND cancel_requested_at IS NULL)
    ) THEN
        RETURN 'ThreadBusy';
    END IF;
    IF p_require_not_interrupted AND jsonb_array_length(v_thread.interrupts) > 0 THEN
        RETURN 'ThreadInterrupted';
    END IF;
    IF v_spec #> '{command,resume}' IS NOT NULL AND v_spec #> '{command,resume}' <> 'null' THEN
        IF NOT v_busy THEN
            v_spec := v_spec || jsonb_build_object('answers',
                relayrun_bind_answers_v1(v_spec #> '{command,resume}', v_thread.interrupts));
        END IF;
        IF v_busy OR v_spec -> 'answers' = 'null' THEN
            IF v_new THEN
                DELETE FROM threads WHERE thread_id = p_thread;
            END IF;
            RETURN 'ResumeConflict';
        END IF;
    END IF;
    IF v_strategy IN ('interrupt', 'rollback') THEN
        UPDATE runs SET cancel_requested_at = now(), cancel_action = v_strategy
        WHERE thread_id = p_thread AND status IN ('delayed', 'pending', 'running') AND cancel_requested_at IS NULL;
    END IF;
    IF v_starts_at IS NULL THEN
        UPDATE threads SET run_count = run_count + 1, status = 'busy', graph = p_graph, agent = p_agent,
            updated_at = now(), metadata = metadata || p_thread_metadata
        WHERE thread_id = p_thread;
        INSERT INTO runs (run_id, thread_id, number, owner, agent, graph, assistant_id, spec, object)
        VALUES (p_run, p_thread, v_thread.run_count + 1, p_owner, p_agent, p_graph, p_assistant, v_spec, p_object);
    ELSE
        UPDATE threads SET graph = coalesce(graph, p_graph), agent = coalesce(agent, p_agent), updated_at = now(),
            metadata = metadata || p_thread_metadata
        WHERE thread_id = p_thread;
        INSERT INTO runs (run_id, thread_id, number, owner, agent, graph, assistant_id, spec, object, status,
                          created_at)
        VALUES (p_run, p_thread, 0, p_owner, p_agent, p_graph, p_assistant, v_spec, p_object, 'delayed', v_starts_at);
    END IF;
    RETURN 'Created';
END $$;

-- A delayed run whose time has come joins its thread's line, at its end. Answers LinedUp; Cancelled, when a later run
-- displaced it meanwhile; NotYet, also when somebody else was quicker.
CREATE FUNCTION relayrun_line_up_v1(p_run uuid) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread uuid;
    v_number integer;
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key_v1(p_run));
    SELECT thread_id INTO v_thread FROM runs WHERE run_id = p_run;
    PERFORM 1 FROM threads WHERE thread_id = v_thread FOR UPDATE;
    SELECT * INTO v_run FROM runs
    WHERE run_id = p_run AND status = 'delayed' AND coalesce(cancel_requested_at, created_at) <= clock_timestamp()
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'NotYet';
    END IF;
    IF v_run.cancel_requested_at IS NOT NULL THEN
        PERFORM relayrun_end_v1(p_run, v_run.attempt + 1, 'cancelled', 'Cancelled', 'the run was cancelled',
                                NULL, NULL, NULL, NULL);
        RETURN 'Cancelled';
    END IF;
    UPDATE threads SET run_count = run_count + 1, status = 'busy', graph = v_run.graph, agent = v_run.agent,
        updated_at = now()
    WHERE thread_id = v_thread RETURNING run_count INTO v_number;
    UPDATE runs SET status = 'pending', seq = DEFAULT, number = v_number, updated_at = now() WHERE run_id = p_run;
    RETURN 'LinedUp';
END $$;

-- Accepts a cancel as `relayrun_cancel_v1` does, of a delayed run too, which ends at once.
CREATE FUNCTION relayrun_cancel_v2(p_run uuid, p_action text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread uuid;
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key_v1(p_run));
    SELECT thread_id INTO v_thread FROM runs WHERE run_id = p_run;
    PERFORM 1 FROM threads WHERE thread_id = v_thread FOR UPDATE;
    SELECT * INTO v_run FROM runs WHERE run_id = p_run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'NotFound';
    END IF;
    IF v_run.status NOT IN ('delayed', 'pending', 'running') THEN
        RETURN 'AlreadyFinished';
    END IF;
    UPDATE runs SET cancel_requested_at = coalesce(cancel_requested_at, now()), updated_at = now(),
        cancel_action = coalesce(cancel_action, p_action)
    WHERE run_id = p_run;
    IF v_run.status <> 'running' THEN
        PERFORM relayrun_end_v1(p_run, v_run.attempt + 1, 'cancelled', 'Cancelled', 'the run was cancelled',
                                NULL, NULL, NULL, NULL);
        RETURN 'Cancelled';
    END IF;
    RETURN 'Requested';
END $$;

-- Accepts runs, all or none, as `relayrun_start_run_v1` accepts one: once for an idempotency key and at most so many for
-- a subject. `p_runs` is an array of objects with the parameters of `relayrun_create_run_v3` as run, thread, owner, name,
-- thread_metadata, agent, graph, assistant, spec, create, not_interrupted, object and delay_seconds. Of several, each
-- has a thread of its own. `runs` are their ids, or those of the same request before.
CREATE FUNCTION relayrun_start_runs_v1(
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
        FROM relayrun_used_v1(p_subject, p_window) AS u;
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
                    delay_seconds double precision)
            LOOP
                answer := relayrun_create_run_v3(
                    v_run.run, v_run.thread, v_run.owner, v_run.name, v_run.thread_metadata, v_run.agent, v_run.graph,
                    v_run.assistant, v_run.spec, v_run."create", v_run.not_interrupted, v_run.object,
                    make_interval(secs => v_run.delay_seconds));
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

-- The outbox: ends of runs that somebody wants to be told of. A row is there from the transaction that ended its run
-- until the receiver has taken it. It has all that is told: run and thread may be forgotten before.
CREATE TABLE webhooks (
    run_id           uuid PRIMARY KEY,
    url              text NOT NULL,
    host             text NOT NULL,                             -- with the port, where the URL has one
    run              jsonb NOT NULL,                            -- the row of `runs`
    values           jsonb,                                     -- the thread's, as the run left them
    interrupts       jsonb NOT NULL,
    tries            integer NOT NULL DEFAULT 0,
    next_try         timestamptz NOT NULL DEFAULT now(),
    problem          text,                                      -- why the last try failed
    created_at       timestamptz NOT NULL DEFAULT now(),
    failed_at        timestamptz                                -- given up
);
CREATE INDEX webhooks_due ON webhooks (next_try) WHERE failed_at IS NULL;
CREATE INDEX webhooks_failed ON webhooks (failed_at) WHERE failed_at IS NOT NULL;

CREATE FUNCTION relayrun_note_webhook_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhooks (run_id, url, host, run, values, interrupts)
    SELECT NEW.run_id, NEW.spec ->> 'webhook',
        coalesce(lower(substring(NEW.spec ->> 'webhook' FROM '^[A-Za-z]+://([^/?#]*)')), ''),
        to_jsonb(NEW), t.values, t.interrupts
    FROM threads t WHERE t.thread_id = NEW.thread_id
    ON CONFLICT (run_id) DO NOTHING;
    RETURN NULL;
END $$;
-- For every way in which a run ends, whichever version of the code ends it. Deferred to the end of that transaction,
-- because the thread gets its values behind the run's end.
CREATE CONSTRAINT TRIGGER runs_webhook AFTER UPDATE OF status ON runs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND NEW.spec ->> 'webhook' IS NOT NULL)
    EXECUTE FUNCTION relayrun_note_webhook_v1();
