-- What becomes of a thread whose run was cancelled, is to come later, or is deleted with it: as LangGraph's clients know it.

-- What its runs were configured with, without `configurable`, whose members may be anybody's secrets.
ALTER TABLE threads ADD COLUMN config jsonb NOT NULL DEFAULT '{}';

-- Runs that went with their thread while they were unfinished, and whose AgentRun may be given to a runner once more: it
-- has the payload, and must not make run and thread anew.
CREATE TABLE deleted_runs (
    run_id           uuid PRIMARY KEY,
    deleted_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deleted_runs_at ON deleted_runs (deleted_at);

CREATE FUNCTION relayrun_refuse_deleted_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM deleted_runs WHERE run_id = NEW.run_id) THEN
        RAISE EXCEPTION 'run % was deleted with its thread', NEW.run_id USING ERRCODE = 'RR003';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_deleted BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION relayrun_refuse_deleted_v1();

-- A thread's config behind a run of this one. Of what would be too much, the run's alone is kept.
CREATE FUNCTION relayrun_thread_config_v1(p_before jsonb, p_run jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_run jsonb := coalesce(p_run, '{}') || '{"configurable": {}}';
BEGIN
    RETURN CASE WHEN octet_length(p_before::text) + octet_length(v_run::text) > 262144 THEN v_run
                ELSE p_before || v_run END;
END $$;

-- As before, and the thread has the run's config, and is busy also with one of later.
CREATE OR REPLACE FUNCTION relayrun_create_run_v3(
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
    v_config := relayrun_thread_config_v1(v_thread.config, p_spec -> 'config');
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

-- As before. A thread whose run was cancelled in its midst is `interrupted`, and its `error` says by what; one that has a
-- run of later is still busy.
CREATE OR REPLACE FUNCTION relayrun_end_v2(
    p_run uuid, p_attempt integer, p_status text, p_reason text, p_message text, p_values text, p_interrupts jsonb,
    p_error jsonb, p_checkpoint text, p_output_keys jsonb, p_questions text, p_head text, p_by text,
    p_head_values text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_status text := p_status;
    v_reason text := p_reason;
    v_message text := p_message;
    v_values text := p_values;
    v_interrupts jsonb := p_interrupts;
    v_error jsonb := p_error;
    v_thread_error jsonb;
    v_rollback boolean;
    v_untouched boolean;
    v_thread_status text;
    v_seq bigint;
BEGIN
    SELECT * INTO v_run FROM runs WHERE run_id = p_run;
    IF v_run.cancel_requested_at IS NOT NULL THEN
        v_status := 'cancelled';
        v_reason := 'Cancelled';
        v_message := 'the run was cancelled';
        v_error := NULL;
    END IF;
    v_rollback := v_status = 'cancelled' AND v_run.cancel_action = 'rollback';
    IF v_rollback THEN
        PERFORM relayrun_rollback_v1(p_run);
        v_values := NULL;
        v_interrupts := NULL;
    ELSIF v_interrupts IS NULL AND v_run.base IS NOT NULL AND EXISTS (
        SELECT 1 FROM checkpoints WHERE thread_id = v_run.thread_id::text AND checkpoint_ns = ''
            AND checkpoint_id > coalesce(v_run.base ->> 'checkpoint_id', '')
    ) THEN
        v_interrupts := '[]';                                -- the thread has moved past its old questions
    END IF;
    v_untouched := v_rollback OR (v_values IS NULL AND v_interrupts IS NULL AND relayrun_untouched_v1(v_run));
    DELETE FROM run_base_writes WHERE run_id = p_run;
    UPDATE runs SET status = v_status, reason = v_reason, message = left(v_message, 1024), error = v_error,
        checkpoint_id = p_checkpoint, attempt = p_attempt, not_before = NULL, updated_at = now(),
        started_at = CASE WHEN v_run.attempt = 0 THEN NULL ELSE started_at END, finished_at = now()
    WHERE run_id = p_run;
    UPDATE run_attempts SET ended_at = now(), ending = CASE WHEN attempt = p_attempt THEN 'Finished' ELSE 'Lost' END
    WHERE run_id = p_run AND ended_at IS NULL;
    IF v_values IS NOT NULL THEN
        INSERT INTO run_outcomes (run_id, values, output_keys, questions)
        VALUES (p_run, v_values, p_output_keys, coalesce(p_questions, '[]'));
    END IF;
    -- What was never begun leaves no trace.
    v_thread_error := CASE WHEN v_status <> 'cancelled' THEN v_error WHEN v_run.base IS NOT NULL THEN jsonb_build_object(
        'error', CASE WHEN v_rollback THEN 'UserRollback' ELSE 'UserInterrupt' END, 'message', v_message) END;
    v_thread_status := CASE
        WHEN EXISTS (
            SELECT 1 FROM runs WHERE thread_id = v_run.thread_id AND status IN ('delayed', 'pending', 'running')
        ) THEN 'busy'
        WHEN v_status IN ('error', 'timeout') THEN 'error'
        WHEN v_status = 'interrupted' OR (v_status = 'cancelled' AND v_run.base IS NOT NULL AND NOT v_rollback)
            THEN 'interrupted' END;
    IF v_untouched THEN
        UPDATE threads SET error = v_thread_error, updated_at = now(),
            state_updated_at = now(), head_at = CASE WHEN head_at = state_updated_at THEN now() END,
            status = coalesce(v_thread_status,
                CASE WHEN jsonb_array_length(interrupts) > 0 THEN 'interrupted' ELSE 'idle' END)
        WHERE thread_id = v_run.thread_id;
    ELSE
        UPDATE threads SET
            values = coalesce(v_values::jsonb, values),
            interrupts = coalesce(v_interrupts, interrupts),
            output_keys = CASE WHEN v_values IS NULL THEN output_keys ELSE p_output_keys END,
            head = CASE WHEN v_values IS NULL THEN NULL ELSE p_head END,
            head_at = now(), head_by = p_by, head_run = p_run, head_values = p_head_values,
            error = v_thread_error,
            updated_at = now(),
            status = coalesce(v_thread_status,
                CASE WHEN jsonb_array_length(coalesce(v_interrupts, interrupts)) > 0 THEN 'interrupted' ELSE 'idle' END)
        WHERE thread_id = v_run.thread_id;
    END IF;
    v_seq := p_attempt::bigint << 32;
    SELECT coalesce(max(seq), v_seq) INTO v_seq FROM run_events WHERE run_id = p_run AND seq >= v_seq;
    IF v_status IN ('error', 'timeout') THEN
        v_seq := v_seq + 1;
        INSERT INTO run_events (run_id, seq, event, data) VALUES (p_run, v_seq, 'error', jsonb_build_object(
            'error', coalesce(v_error ->> 'error', v_reason),
            'message', coalesce(v_error ->> 'message', v_message))::text);
    END IF;
    INSERT INTO run_events (run_id, seq, event, data) VALUES (p_run, v_seq + 1, 'end', jsonb_build_object(
        'run_id', p_run, 'thread_id', v_run.thread_id, 'status', v_status, 'reason', v_reason)::text);
END $$;

-- Forgets a thread, its runs and its checkpoints. What is unfinished is ended first, in this transaction: nobody sees it
-- end, and no runner can write to it any more. Answers Deleted with those runs, [{run_id, agent, object}]; NotFound; or
-- Again, where a run came meanwhile.
CREATE FUNCTION relayrun_delete_thread_v1(p_thread uuid, OUT answer text, OUT ended jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_runs uuid[];
    v_run runs;
BEGIN
    SELECT coalesce(array_agg(run_id ORDER BY run_id), '{}') INTO v_runs
    FROM runs WHERE thread_id = p_thread AND finished_at IS NULL;
    -- Lock order: the runs' advisory locks, the thread row, the run rows.
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key_v1(u.run_id)) FROM unnest(v_runs) AS u (run_id);
    PERFORM set_config('lock_timeout', '0', true);
    PERFORM 1 FROM threads WHERE thread_id = p_thread FOR UPDATE;
    IF NOT FOUND THEN
        answer := 'NotFound';
        RETURN;
    END IF;
    IF EXISTS (SELECT 1 FROM runs WHERE thread_id = p_thread AND finished_at IS NULL AND run_id <> ALL (v_runs)) THEN
        answer := 'Again';
        RETURN;
    END IF;
    ended := '[]';
    FOR v_run IN SELECT * FROM runs WHERE thread_id = p_thread AND finished_at IS NULL ORDER BY seq LOOP
        PERFORM relayrun_end_v2(v_run.run_id, v_run.attempt + 1, 'cancelled', 'Cancelled',
            'the run''s thread was deleted', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        ended := ended || jsonb_build_object('run_id', v_run.run_id, 'agent', v_run.agent, 'object', v_run.object);
    END LOOP;
    SET CONSTRAINTS runs_webhook IMMEDIATE;                  -- while there is a thread to tell of
    INSERT INTO deleted_runs (run_id) SELECT run_id FROM runs WHERE thread_id = p_thread AND object IS NOT NULL
    ON CONFLICT DO NOTHING;
    DELETE FROM checkpoints WHERE thread_id = p_thread::text;
    DELETE FROM checkpoint_blobs WHERE thread_id = p_thread::text;
    DELETE FROM checkpoint_writes WHERE thread_id = p_thread::text;
    DELETE FROM threads WHERE thread_id = p_thread;
    answer := 'Deleted';
END $$;
