-- How runs end: finished by their attempt, from outside, by a cancel with or without a rollback, or with their thread.

-- Returns the part of a state's values that a client who waits for a run gets.
CREATE FUNCTION relayrun_output_values(p_values jsonb, p_keys jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_keys IS NULL OR coalesce(jsonb_typeof(p_values), '') <> 'object' THEN p_values
        WHEN jsonb_typeof(p_keys) = 'string' THEN coalesce(p_values -> (p_keys #>> '{}'), 'null')
        ELSE (SELECT coalesce(jsonb_object_agg(v.key, v.value), '{}') FROM jsonb_each(p_values) AS v
              WHERE p_keys ? v.key) END
$$;

-- Returns whether a run has written nothing: it was never claimed, or its thread's checkpoints and their pending writes
-- are those of its first claim.
CREATE FUNCTION relayrun_untouched(p_run runs) RETURNS boolean
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

-- Undoes what a run wrote: later checkpoints are deleted, the base's pending writes come back. The caller holds the
-- locks.
CREATE FUNCTION relayrun_rollback(p_run uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread text;
BEGIN
    SELECT * INTO v_run FROM runs WHERE run_id = p_run;
    IF v_run.base IS NULL THEN
        RETURN;                                              -- never claimed, so it wrote nothing
    END IF;
    v_thread := v_run.thread_id::text;
    DELETE FROM checkpoints WHERE thread_id = v_thread
        AND checkpoint_id > coalesce(v_run.base ->> 'high_water', '');
    DELETE FROM checkpoint_writes WHERE thread_id = v_thread
        AND checkpoint_id >= coalesce(v_run.base ->> 'checkpoint_id', '');
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
    SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
    FROM run_base_writes WHERE run_id = p_run;
END $$;

-- Ends a run for good. The caller holds the run's exclusive advisory lock, the thread row and the run row. An accepted
-- cancel wins over whatever else the run came to. `p_head` is the state that the run left as JSON without its values,
-- made by `p_by`; a run that left the thread's state as it was keeps the thread's head, too. A thread whose run was
-- cancelled after it began is `interrupted`, and its `error` says by what; a thread with a delayed run is still busy.
CREATE FUNCTION relayrun_end(
    p_run uuid, p_attempt integer, p_status text, p_reason text, p_message text,
    p_values text DEFAULT NULL, p_interrupts jsonb DEFAULT NULL, p_error jsonb DEFAULT NULL,
    p_checkpoint text DEFAULT NULL, p_output_keys jsonb DEFAULT NULL, p_questions text DEFAULT NULL,
    p_head text DEFAULT NULL, p_by text DEFAULT NULL, p_head_values text DEFAULT NULL
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
        PERFORM relayrun_rollback(p_run);
        v_values := NULL;
        v_interrupts := NULL;
    ELSIF v_interrupts IS NULL AND v_run.base IS NOT NULL AND EXISTS (
        SELECT 1 FROM checkpoints WHERE thread_id = v_run.thread_id::text AND checkpoint_ns = ''
            AND checkpoint_id > coalesce(v_run.base ->> 'checkpoint_id', '')
    ) THEN
        v_interrupts := '[]';                                -- the thread has moved past its old questions
    END IF;
    v_untouched := v_rollback OR (v_values IS NULL AND v_interrupts IS NULL AND relayrun_untouched(v_run));
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

-- Finishes a run. p_attempt NULL: from outside (deadline, cancel, reconciler), which fences off the attempt that runs.
-- Answers Finished, AlreadyFinished, Stale or NotFound; when the same attempt finishes twice, the second is Finished.
CREATE FUNCTION relayrun_finish(
    p_run uuid, p_attempt integer, p_status text, p_reason text, p_message text, p_values text, p_interrupts jsonb,
    p_error jsonb, p_checkpoint text, p_output_keys jsonb, p_questions text, p_head text, p_by text,
    p_head_values text
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread uuid;
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key(p_run));
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
    PERFORM relayrun_end(p_run, coalesce(p_attempt, v_run.attempt + 1), p_status, p_reason, p_message, p_values,
                            p_interrupts, p_error, p_checkpoint, p_output_keys, p_questions, p_head, p_by, p_head_values);
    RETURN 'Finished';
END $$;

-- Accepts a cancel. A delayed or pending run ends at once; a running one is ended by its runner. It cannot be taken
-- back. Answers Cancelled, Requested, AlreadyFinished or NotFound.
CREATE FUNCTION relayrun_cancel(p_run uuid, p_action text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread uuid;
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key(p_run));
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
        PERFORM relayrun_end(p_run, v_run.attempt + 1, 'cancelled', 'Cancelled', 'the run was cancelled');
        RETURN 'Cancelled';
    END IF;
    RETURN 'Requested';
END $$;

-- Deletes a thread, its runs and its checkpoints. Unfinished runs are ended first, in this transaction: nobody sees
-- them end, and no runner can write to them any more. Answers Deleted with those runs, [{run_id, agent, object}];
-- NotFound; or Again, where a run came meanwhile.
CREATE FUNCTION relayrun_delete_thread(p_thread uuid, OUT answer text, OUT ended jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_runs uuid[];
    v_run runs;
BEGIN
    SELECT coalesce(array_agg(run_id ORDER BY run_id), '{}') INTO v_runs
    FROM runs WHERE thread_id = p_thread AND finished_at IS NULL;
    -- Lock order: the runs' advisory locks, the thread row, the run rows.
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key(u.run_id)) FROM unnest(v_runs) AS u (run_id);
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
        PERFORM relayrun_end(v_run.run_id, v_run.attempt + 1, 'cancelled', 'Cancelled',
            'the run''s thread was deleted');
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
