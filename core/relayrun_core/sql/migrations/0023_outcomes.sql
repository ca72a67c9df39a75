-- How a run ended, for those who wait for it, and a thread's newest state, so that no runner is asked for it.

-- A run's own outcome: the thread's row is that of its last run. Goes with the run's journal.
CREATE TABLE run_outcomes (
    run_id           uuid PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    values           text NOT NULL,                             -- JSON as it goes out
    output_keys      jsonb,                                     -- see threads.output_keys
    questions        text NOT NULL                              -- JSON as it goes out: what it waits for
);
-- Postgres' own compression of a large state takes as long as all else of a finish (1.5 MB: 40 ms of 80).
DO $$ BEGIN
    ALTER TABLE run_outcomes ALTER COLUMN values SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    ALTER TABLE run_outcomes ALTER COLUMN values SET STORAGE EXTERNAL;
END $$;

ALTER TABLE threads
    -- Those of the values that whoever waits for a run is told: keys, or the one that is all of it. NULL: everything.
    ADD COLUMN output_keys jsonb,
    -- The newest state as JSON, without its values. It is true while `head_at` is when the state was written last,
    -- whoever wrote it: a version of the code that knows nothing of it included.
    ADD COLUMN head        text,
    ADD COLUMN head_at     timestamptz,
    ADD COLUMN head_by     text,                                -- the graph and build that made it; NULL: ask for another
    ADD COLUMN head_run    uuid,                                -- whose outcome has its values as JSON
    ADD COLUMN head_values text;                                -- of a head that is no run's, or tells them otherwise

-- The part of a state's values that whoever waits for a run is told.
CREATE FUNCTION relayrun_told_v1(p_values jsonb, p_keys jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_keys IS NULL OR coalesce(jsonb_typeof(p_values), '') <> 'object' THEN p_values
        WHEN jsonb_typeof(p_keys) = 'string' THEN coalesce(p_values -> (p_keys #>> '{}'), 'null')
        ELSE (SELECT coalesce(jsonb_object_agg(v.key, v.value), '{}') FROM jsonb_each(p_values) AS v
              WHERE p_keys ? v.key) END
$$;

-- As `relayrun_end_v1`, with the state that the run left as JSON: `p_head` without its values, made by `p_by`. A run
-- that left the thread's state as it was leaves what is told of it, too.
CREATE FUNCTION relayrun_end_v2(
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
    v_thread_status := CASE
        WHEN EXISTS (SELECT 1 FROM runs WHERE thread_id = v_run.thread_id AND status IN ('pending', 'running'))
            THEN 'busy'
        WHEN v_status IN ('error', 'timeout') THEN 'error'
        WHEN v_status = 'interrupted' THEN 'interrupted' END;
    IF v_untouched THEN
        UPDATE threads SET error = v_error, updated_at = now(),
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
            error = v_error,
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

-- Whether a run has written nothing: it was never claimed, or its thread's checkpoints and their pending writes are
-- those of its first claim.
CREATE FUNCTION relayrun_untouched_v1(p_run runs) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_thread text := p_run.thread_id::text;
BEGIN
    RETURN p_run.base IS NULL OR NOT (
        EXISTS (SELECT 1 FROM checkpoints
                WHERE thread_id = v_thread AND checkpoint_id > coalesce(p_run.base ->> 'high_water', ''))
        OR EXISTS (
            SELECT checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path FROM checkpoint_writes
            WHERE thread_id = v_thread AND checkpoint_id >= coalesce(p_run.base ->> 'checkpoint_id', '')
            EXCEPT
            SELECT checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path FROM run_base_writes
            WHERE run_id = p_run.run_id));
END $$;

-- For claims, cancels and a version of the code that knows no more: the same end.
CREATE OR REPLACE FUNCTION relayrun_end_v1(
    p_run uuid, p_attempt integer, p_status text, p_reason text, p_message text, p_values jsonb, p_interrupts jsonb,
    p_error jsonb, p_checkpoint text
) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT relayrun_end_v2(p_run, p_attempt, p_status, p_reason, p_message, p_values::text, p_interrupts, p_error,
        p_checkpoint, NULL, (SELECT jsonb_agg(jsonb_build_object('id', i -> 'id', 'value', i -> 'value'))::text
                             FROM jsonb_array_elements(p_interrupts) AS i), NULL, NULL, NULL)
$$;

-- As `relayrun_finish_v1`, with what `relayrun_end_v2` keeps beside.
CREATE FUNCTION relayrun_finish_v2(
    p_run uuid, p_attempt integer, p_status text, p_reason text, p_message text, p_values text, p_interrupts jsonb,
    p_error jsonb, p_checkpoint text, p_output_keys jsonb, p_questions text, p_head text, p_by text,
    p_head_values text
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
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
    IF v_run.status NOT IN ('pending', 'running') THEN
        RETURN CASE WHEN v_run.attempt = p_attempt THEN 'Finished' ELSE 'AlreadyFinished' END;
    END IF;
    IF p_attempt IS NOT NULL AND (v_run.attempt <> p_attempt OR v_run.status <> 'running') THEN
        RETURN 'Stale';
    END IF;
    PERFORM relayrun_end_v2(p_run, coalesce(p_attempt, v_run.attempt + 1), p_status, p_reason, p_message, p_values,
                            p_interrupts, p_error, p_checkpoint, p_output_keys, p_questions, p_head, p_by, p_head_values);
    RETURN 'Finished';
END $$;

-- Its parent is gone, and with it what was kept of the newest state.
CREATE FUNCTION relayrun_pruned_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.head := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER threads_pruned BEFORE UPDATE OF pruned_at ON threads
    FOR EACH ROW EXECUTE FUNCTION relayrun_pruned_v1();

-- As `relayrun_note_webhook_v1`: a receiver is told what one is told who waits.
CREATE FUNCTION relayrun_note_webhook_v2() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhooks (run_id, url, host, run, values, interrupts)
    SELECT NEW.run_id, NEW.spec ->> 'webhook',
        coalesce(lower(substring(NEW.spec ->> 'webhook' FROM '^[A-Za-z]+://([^/?#]*)')), ''),
        to_jsonb(NEW), relayrun_told_v1(t.values, t.output_keys), t.interrupts
    FROM threads t WHERE t.thread_id = NEW.thread_id
    ON CONFLICT (run_id) DO NOTHING;
    RETURN NULL;
END $$;
DROP TRIGGER runs_webhook ON runs;
CREATE CONSTRAINT TRIGGER runs_webhook AFTER UPDATE OF status ON runs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND NEW.spec ->> 'webhook' IS NOT NULL)
    EXECUTE FUNCTION relayrun_note_webhook_v2();
