-- What becomes of a run: created, claimed, released, cancelled, finished. Each function is one transaction.

-- Accepts a run. Answers 'Created', or why not: ThreadNotFound, ThreadBusy, ThreadInterrupted, ResumeConflict.
CREATE FUNCTION relayrun_create_run_v1(
    p_run uuid, p_thread uuid, p_owner text, p_name text, p_thread_metadata jsonb, p_agent text, p_graph text,
    p_assistant uuid, p_spec jsonb, p_create_thread boolean, p_require_not_interrupted boolean
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_thread threads;
    v_busy boolean;
    v_spec jsonb := p_spec;
    v_strategy text := p_spec ->> 'multitask_strategy';
BEGIN
    IF p_create_thread THEN
        INSERT INTO threads (thread_id, owner, name, metadata)
        VALUES (p_thread, p_owner, p_name, p_thread_metadata) ON CONFLICT (thread_id) DO NOTHING;
    END IF;
    SELECT * INTO v_thread FROM threads WHERE thread_id = p_thread FOR UPDATE;
    IF NOT FOUND OR v_thread.owner IS DISTINCT FROM p_owner THEN
        RETURN 'ThreadNotFound';
    END IF;
    IF EXISTS (SELECT 1 FROM runs WHERE run_id = p_run AND thread_id = p_thread) THEN
        RETURN 'Created';                                    -- told twice: the first answer was lost
    END IF;
    v_busy := EXISTS (SELECT 1 FROM runs WHERE thread_id = p_thread AND status IN ('pending', 'running'));
    IF v_busy AND v_strategy = 'reject' THEN
        RETURN 'ThreadBusy';
    END IF;
    IF p_require_not_interrupted AND jsonb_array_length(v_thread.interrupts) > 0 THEN
        RETURN 'ThreadInterrupted';
    END IF;
    IF v_spec #> '{command,resume}' IS NOT NULL AND v_spec #> '{command,resume}' <> 'null' THEN
        IF v_busy THEN
            RETURN 'ResumeConflict';
        END IF;
        v_spec := v_spec || jsonb_build_object('answers',
            relayrun_bind_answers_v1(v_spec #> '{command,resume}', v_thread.interrupts));
        IF v_spec -> 'answers' = 'null' THEN
            RETURN 'ResumeConflict';
        END IF;
    END IF;
    IF v_busy AND v_strategy IN ('interrupt', 'rollback') THEN
        UPDATE runs SET cancel_requested_at = now(), cancel_action = v_strategy
        WHERE thread_id = p_thread AND status IN ('pending', 'running') AND cancel_requested_at IS NULL;
    END IF;
    UPDATE threads SET run_count = run_count + 1, status = 'busy', graph = p_graph, agent = p_agent, updated_at = now(),
        metadata = metadata || p_thread_metadata
    WHERE thread_id = p_thread;
    INSERT INTO runs (run_id, thread_id, number, owner, agent, graph, assistant_id, spec)
    VALUES (p_run, p_thread, v_thread.run_count + 1, p_owner, p_agent, p_graph, p_assistant, v_spec);
    RETURN 'Created';
END $$;

-- Binds a resume to the questions it answers. A scalar needs exactly one pending question; a map names them.
-- NULL as JSON: nothing to bind it to.
CREATE FUNCTION relayrun_bind_answers_v1(p_resume jsonb, p_interrupts jsonb) RETURNS jsonb
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

-- What a rollback goes back to, remembered at the first claim. Checkpoint ids grow with time, in every namespace.
CREATE FUNCTION relayrun_save_base_v1(p_run uuid, p_thread uuid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_head text;
    v_high text;
BEGIN
    SELECT max(checkpoint_id) FILTER (WHERE checkpoint_ns = ''), max(checkpoint_id) INTO v_head, v_high
    FROM checkpoints WHERE thread_id = p_thread::text;
    IF v_head IS NOT NULL THEN
        INSERT INTO run_base_writes
        SELECT p_run, thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
        FROM checkpoint_writes WHERE thread_id = p_thread::text AND checkpoint_id >= v_head;
    END IF;
    RETURN jsonb_build_object('checkpoint_id', v_head, 'high_water', v_high);
END $$;

-- Undoes what a run wrote: later checkpoints go, the base's pending writes come back. Locks are held by the caller.
CREATE FUNCTION relayrun_rollback_v1(p_run uuid) RETURNS void
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

-- Ends a run for good. The caller holds the run's exclusive advisory lock, the thread row and the run row.
-- A cancel that was accepted before wins over whatever else the run came to.
CREATE FUNCTION relayrun_end_v1(
    p_run uuid, p_attempt integer, p_status text, p_reason text, p_message text, p_values jsonb, p_interrupts jsonb,
    p_error jsonb, p_checkpoint text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_status text := p_status;
    v_reason text := p_reason;
    v_message text := p_message;
    v_values jsonb := p_values;
    v_interrupts jsonb := p_interrupts;
    v_error jsonb := p_error;
    v_rollback boolean;
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
    DELETE FROM run_base_writes WHERE run_id = p_run;
    UPDATE runs SET status = v_status, reason = v_reason, message = left(v_message, 1024), error = v_error,
        checkpoint_id = p_checkpoint, attempt = p_attempt, not_before = NULL, updated_at = now(),
        started_at = CASE WHEN v_run.attempt = 0 THEN NULL ELSE started_at END, finished_at = now()
    WHERE run_id = p_run;
    UPDATE run_attempts SET ended_at = now(), ending = CASE WHEN attempt = p_attempt THEN 'Finished' ELSE 'Lost' END
    WHERE run_id = p_run AND ended_at IS NULL;
    UPDATE threads SET
        values = coalesce(v_values, values),
        interrupts = coalesce(v_interrupts, interrupts),
        error = v_error,
        updated_at = now(),
        status = CASE
            WHEN EXISTS (SELECT 1 FROM runs WHERE thread_id = v_run.thread_id AND status IN ('pending', 'running'))
                THEN 'busy'
            WHEN v_status IN ('error', 'timeout') THEN 'error'
            WHEN v_status = 'interrupted' OR jsonb_array_length(coalesce(v_interrupts, interrupts)) > 0
                THEN 'interrupted'
            ELSE 'idle' END
    WHERE thread_id = v_run.thread_id;
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

-- A runner asks for a run. Answers Claimed, Finished, Stale, ThreadBusy, BackOff or NotFound, with a detail:
-- {attempt} for Stale, {by} for ThreadBusy, {seconds, suspect} for BackOff.
CREATE FUNCTION relayrun_claim_v1(
    p_run uuid, p_attempt integer, p_holder uuid, p_runner text, p_excused boolean, p_alone boolean
) RETURNS TABLE (answer text, detail jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread uuid;
    v_older uuid;
    v_progressed boolean;
    v_company boolean;
    v_lost boolean;
    v_failed integer;
    v_suspect boolean;
    v_not_before timestamptz;
    v_base jsonb;
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key_v1(p_run));
    SELECT thread_id INTO v_thread FROM runs WHERE run_id = p_run;
    PERFORM 1 FROM threads WHERE thread_id = v_thread FOR UPDATE;
    SELECT * INTO v_run FROM runs WHERE run_id = p_run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'NotFound', '{}'::jsonb;
        RETURN;
    END IF;
    IF v_run.status NOT IN ('pending', 'running') THEN
        RETURN QUERY SELECT 'Finished', '{}'::jsonb;
        RETURN;
    END IF;
    IF v_run.status = 'running' AND v_run.attempt = p_attempt AND v_run.holder = p_holder THEN
        RETURN QUERY SELECT 'Claimed', '{}'::jsonb;
        RETURN;
    END IF;
    IF p_attempt <= v_run.attempt THEN
        RETURN QUERY SELECT 'Stale', jsonb_build_object('attempt', v_run.attempt);
        RETURN;
    END IF;
    IF v_run.cancel_requested_at IS NOT NULL THEN
        PERFORM relayrun_end_v1(p_run, p_attempt, 'cancelled', 'Cancelled', 'the run was cancelled',
                                NULL, NULL, NULL, NULL);
        RETURN QUERY SELECT 'Finished', '{}'::jsonb;
        RETURN;
    END IF;
    SELECT run_id INTO v_older FROM runs
    WHERE thread_id = v_thread AND seq < v_run.seq AND status IN ('pending', 'running') ORDER BY seq LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT 'ThreadBusy', jsonb_build_object('by', v_older);
        RETURN;
    END IF;

    v_lost := v_run.status = 'running';                      -- taken over from a runner that is gone
    v_progressed := v_run.progress > v_run.progress_at_claim;
    v_failed := v_run.failed_attempts;
    v_suspect := v_run.suspect AND NOT (v_lost AND v_progressed);
    v_not_before := v_run.not_before;
    IF v_lost AND NOT v_progressed AND NOT p_excused THEN
        v_company := EXISTS (SELECT 1 FROM run_attempts WHERE holder = v_run.holder AND run_id <> p_run
                             AND (ended_at IS NULL OR ending = 'Lost'));
        IF v_company THEN
            v_suspect := true;
        ELSE
            v_failed := v_failed + 1;
            v_not_before := now() + make_interval(secs => power(2, least(v_failed, 8) - 1));
        END IF;
    END IF;
    IF v_lost THEN
        UPDATE run_attempts SET ended_at = now(), ending = 'Lost' WHERE run_id = p_run AND ended_at IS NULL;
    END IF;
    IF v_failed > (v_run.spec ->> 'backoff_limit')::integer THEN
        UPDATE runs SET failed_attempts = v_failed WHERE run_id = p_run;
        PERFORM relayrun_end_v1(p_run, p_attempt, 'error', 'BackoffLimitExceeded',
            format('%s attempts ended without progress: the process that ran them died each time', v_failed),
            NULL, NULL, NULL, NULL);
        RETURN QUERY SELECT 'Finished', '{}'::jsonb;
        RETURN;
    END IF;
    IF v_not_before > now() OR (v_suspect AND NOT p_alone) THEN
        UPDATE runs SET status = 'pending', attempt = CASE WHEN v_lost THEN p_attempt ELSE attempt END, holder = NULL,
            runner = NULL, failed_attempts = v_failed, suspect = v_suspect, not_before = v_not_before,
            updated_at = now()
        WHERE run_id = p_run;
        RETURN QUERY SELECT 'BackOff', jsonb_build_object(
            'seconds', greatest(0, extract(epoch FROM coalesce(v_not_before, now()) - now())),
            'suspect', v_suspect, 'attempt', CASE WHEN v_lost THEN p_attempt ELSE v_run.attempt END);
        RETURN;
    END IF;

    v_base := coalesce(v_run.base, relayrun_save_base_v1(p_run, v_thread));
    UPDATE runs SET status = 'running', attempt = p_attempt, holder = p_holder, runner = p_runner, base = v_base,
        progress_at_claim = progress, failed_attempts = v_failed, suspect = v_suspect, not_before = NULL,
        started_at = coalesce(started_at, now()), updated_at = now()
    WHERE run_id = p_run;
    INSERT INTO run_attempts (run_id, attempt, holder, runner) VALUES (p_run, p_attempt, p_holder, p_runner);
    RETURN QUERY SELECT 'Claimed', '{}'::jsonb;
END $$;

-- A draining runner gives a run back; the attempt is fenced off and does not count as failed. False: it was not ours.
CREATE FUNCTION relayrun_release_v1(p_run uuid, p_attempt integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key_v1(p_run));
    UPDATE runs SET status = 'pending', holder = NULL, runner = NULL, updated_at = now(),
        suspect = suspect AND progress = progress_at_claim
    WHERE run_id = p_run AND attempt = p_attempt AND status = 'running';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE run_attempts SET ended_at = now(), ending = 'Drained' WHERE run_id = p_run AND attempt = p_attempt;
    RETURN true;
END $$;

-- Finishes a run. p_attempt NULL: from outside (deadline, cancel, reconciler), which fences off the attempt that runs.
-- Answers Finished, AlreadyFinished, Stale or NotFound; a finish told twice by the same attempt is Finished.
CREATE FUNCTION relayrun_finish_v1(
    p_run uuid, p_attempt integer, p_status text, p_reason text, p_message text, p_values jsonb, p_interrupts jsonb,
    p_error jsonb, p_checkpoint text
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
    PERFORM relayrun_end_v1(p_run, coalesce(p_attempt, v_run.attempt + 1), p_status, p_reason, p_message,
                            p_values, p_interrupts, p_error, p_checkpoint);
    RETURN 'Finished';
END $$;

-- Accepts a cancel. A pending run ends at once; a running one is told by its runner. It cannot be taken back.
-- Answers Cancelled, Requested, AlreadyFinished or NotFound.
CREATE FUNCTION relayrun_cancel_v1(p_run uuid, p_action text) RETURNS text
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
    IF v_run.status NOT IN ('pending', 'running') THEN
        RETURN 'AlreadyFinished';
    END IF;
    UPDATE runs SET cancel_requested_at = coalesce(cancel_requested_at, now()), updated_at = now(),
        cancel_action = coalesce(cancel_action, p_action)
    WHERE run_id = p_run;
    IF v_run.status = 'pending' THEN
        PERFORM relayrun_end_v1(p_run, v_run.attempt + 1, 'cancelled', 'Cancelled', 'the run was cancelled',
                                NULL, NULL, NULL, NULL);
        RETURN 'Cancelled';
    END IF;
    RETURN 'Requested';
END $$;
