-- Accepting runs: limits on starts, idempotency keys, answers to questions, and runs that start later.

-- One row per accepted start, numbered for its subject without a gap, so that counting is a subtraction.
CREATE TABLE run_starts (
    subject          text NOT NULL,
    started_at       timestamptz NOT NULL,
    number           bigint NOT NULL,
    PRIMARY KEY (subject, started_at)
);
CREATE INDEX run_starts_old ON run_starts USING brin (started_at);

-- Keys that make a request start its runs once.
CREATE TABLE idempotency_keys (
    owner            text NOT NULL,                             -- who sent it; '' without authentication
    key              text NOT NULL,
    fingerprint      bytea NOT NULL,                            -- of the request
    run_id           uuid NOT NULL,                             -- no reference: a deleted run is not started again
    created_at       timestamptz NOT NULL DEFAULT now(),
    run_ids          uuid[],                                    -- all runs of a request that started several, in order
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_old ON idempotency_keys USING brin (created_at);

-- Returns what a subject has used of its limit in the window that ends now, and the seconds until its oldest start
-- leaves the window. Nobody else starts anything for the subject until this transaction ends.
CREATE FUNCTION relayrun_used(
    p_subject text, p_window interval,
    OUT used bigint, OUT seconds double precision, OUT moment timestamptz, OUT newest bigint
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_last timestamptz;
    v_oldest timestamptz;
    v_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_subject, 7261));
    -- After the lock: the transaction may have begun long before it.
    moment := clock_timestamp();
    SELECT s.started_at, s.number INTO v_last, newest FROM run_starts s
    WHERE s.subject = p_subject ORDER BY s.started_at DESC LIMIT 1;
    SELECT s.started_at, s.number INTO v_oldest, v_number FROM run_starts s
    WHERE s.subject = p_subject AND s.started_at > moment - p_window ORDER BY s.started_at LIMIT 1;
    used := coalesce(newest - v_number + 1, 0);
    seconds := extract(epoch FROM coalesce(v_oldest, moment) + p_window - moment);
    moment := greatest(moment, v_last + interval '1 microsecond');   -- a clock may be set back
    newest := coalesce(newest, 0);
END $$;

-- Binds a resume to the questions it answers. A scalar needs exactly one pending question; a map names them.
-- JSON null: nothing to bind it to.
CREATE FUNCTION relayrun_bind_answers(p_resume jsonb, p_interrupts jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_map jsonb := p_resume;
    v_answers jsonb;
BEGIN
    IF jsonb_typeof(p_resume) <> 'object' OR p_resume = '{}' OR EXISTS (
        SELECT 1 FROM jsonb_object_keys(p_resume) AS k WHERE k !~ '^[0-9a-f]{32}$'
    ) THEN
        IF jsonb_array_length(p_interrupts) <> 1 THEN
            RETURN 'null';
        END IF;
        v_map := jsonb_build_object(p_interrupts -> 0 ->> 'id', p_resume);
    END IF;
    SELECT jsonb_agg(jsonb_build_object('interrupt_id', m.key, 'value', m.value,
                                        'task_id', i ->> 'task_id', 'answered', coalesce((i ->> 'answered')::int, 0)))
    INTO v_answers
    FROM jsonb_each(v_map) AS m JOIN jsonb_array_elements(p_interrupts) AS i ON i ->> 'id' = m.key;
    IF jsonb_array_length(v_answers) IS DISTINCT FROM (SELECT count(*)::int FROM jsonb_object_keys(v_map)) THEN
        RETURN 'null';
    END IF;
    RETURN v_answers;
END $$;

-- Accepts a run, for later if there is a delay. `p_object`: the AgentRun that it came with. What is refused leaves
-- nothing behind, a new thread neither. Answers Created, or why not: ThreadNotFound, ThreadBusy, ThreadInterrupted,
-- ResumeConflict.
CREATE FUNCTION relayrun_create_run(
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
    v_config jsonb;
    v_metadata jsonb;
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
                relayrun_bind_answers(v_spec #> '{command,resume}', v_thread.interrupts));
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
    v_config := relayrun_thread_config(v_thread.config, p_spec -> 'config');
    -- A run has its thread's metadata too, but for what says whose run or thread it is.
    SELECT jsonb_object_agg(m.key, m.value) INTO v_metadata FROM jsonb_each(v_thread.metadata) AS m
    WHERE m.key NOT IN ('graph_id', 'assistant_id') AND NOT starts_with(m.key, 'langgraph_auth_');
    IF v_metadata IS NOT NULL THEN
        v_spec := v_spec || jsonb_build_object('metadata', v_metadata || coalesce(v_spec -> 'metadata', '{}'));
    END IF;
    IF v_starts_at IS NULL THEN
        UPDATE threads SET run_count = run_count + 1, status = 'busy', graph = p_graph, agent = p_agent,
            updated_at = now(), metadata = metadata || p_thread_metadata, config = v_config
        WHERE thread_id = p_thread;
        INSERT INTO runs (run_id, thread_id, number, owner, agent, graph, assistant_id, spec, object)
        VALUES (p_run, p_thread, v_thread.run_count + 1, p_owner, p_agent, p_graph, p_assistant, v_spec, p_object);
    ELSE
        UPDATE threads SET status = 'busy', graph = coalesce(graph, p_graph), agent = coalesce(agent, p_agent),
            updated_at = now(), metadata = metadata || p_thread_metadata, config = v_config
        WHERE thread_id = p_thread;
        INSERT INTO runs (run_id, thread_id, number, owner, agent, graph, assistant_id, spec, object, status,
                          created_at)
        VALUES (p_run, p_thread, 0, p_owner, p_agent, p_graph, p_assistant, v_spec, p_object, 'delayed', v_starts_at);
    END IF;
    RETURN 'Created';
END $$;

-- Accepts runs, all or none, once for an idempotency key and at most so many for a subject; NULL for no limit, no key.
-- `p_runs` is an array of objects with the parameters of `relayrun_create_run` as run, thread, owner, name,
-- thread_metadata, agent, graph, assistant, spec, create, not_interrupted, object and delay_seconds. Of several, each
-- has a thread of its own. `runs` are their ids, or those of the same request before. Answers also Replayed (then
-- `runs` are the first ones), KeyReused or RateLimited; `remaining` and `seconds` are of the limit, NULL where there is
-- none.
CREATE FUNCTION relayrun_start_runs(
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
                    delay_seconds double precision)
            LOOP
                answer := relayrun_create_run(
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

-- Puts a delayed run whose time has come at the end of its thread's line. Answers LinedUp; Cancelled, when a later run
-- displaced it meanwhile; NotYet, also when somebody else was quicker.
CREATE FUNCTION relayrun_line_up(p_run uuid) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread uuid;
    v_number integer;
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key(p_run));
    SELECT thread_id INTO v_thread FROM runs WHERE run_id = p_run;
    PERFORM 1 FROM threads WHERE thread_id = v_thread FOR UPDATE;
    SELECT * INTO v_run FROM runs
    WHERE run_id = p_run AND status = 'delayed' AND coalesce(cancel_requested_at, created_at) <= clock_timestamp()
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'NotYet';
    END IF;
    IF v_run.cancel_requested_at IS NOT NULL THEN
        PERFORM relayrun_end(p_run, v_run.attempt + 1, 'cancelled', 'Cancelled', 'the run was cancelled');
        RETURN 'Cancelled';
    END IF;
    UPDATE threads SET run_count = run_count + 1, status = 'busy', graph = v_run.graph, agent = v_run.agent,
        updated_at = now()
    WHERE thread_id = v_thread RETURNING run_count INTO v_number;
    UPDATE runs SET status = 'pending', seq = DEFAULT, number = v_number, updated_at = now() WHERE run_id = p_run;
    RETURN 'LinedUp';
END $$;
