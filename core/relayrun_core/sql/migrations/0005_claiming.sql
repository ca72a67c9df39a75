-- Claiming a run for an attempt, and giving it back.

-- Remembers at the first claim what a rollback goes back to. Checkpoint ids grow with time, in every namespace.
CREATE FUNCTION relayrun_save_base(p_run uuid, p_thread uuid) RETURNS jsonb
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

-- Claims a run for an attempt. Answers Claimed, Finished, Stale, ThreadBusy, BackOff or NotFound, with a detail:
-- {attempt} for Stale, {by} for ThreadBusy, {seconds, suspect} for BackOff.
CREATE FUNCTION relayrun_try_claim(
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
    PERFORM pg_advisory_xact_lock(relayrun_lock_key(p_run));
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
        PERFORM relayrun_end(p_run, p_attempt, 'cancelled', 'Cancelled', 'the run was cancelled');
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
        PERFORM relayrun_end(p_run, p_attempt, 'error', 'BackoffLimitExceeded',
            format('%s attempts ended without progress: the process that ran them died each time', v_failed));
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

    v_base := coalesce(v_run.base, relayrun_save_base(p_run, v_thread));
    UPDATE runs SET status = 'running', attempt = p_attempt, holder = p_holder, runner = p_runner, base = v_base,
        progress_at_claim = progress, failed_attempts = v_failed, suspect = v_suspect, not_before = NULL,
        started_at = coalesce(started_at, now()), updated_at = now()
    WHERE run_id = p_run;
    INSERT INTO run_attempts (run_id, attempt, holder, runner) VALUES (p_run, p_attempt, p_holder, p_runner);
    RETURN QUERY SELECT 'Claimed', '{}'::jsonb;
END $$;

-- Claims a run, and returns it as it is then (NULL: it does not exist). `p_announce`: an attempt that is claimed begins
-- its journal in the same transaction, because the claim is on the way to what a client sees first.
CREATE FUNCTION relayrun_claim(
    p_run uuid, p_attempt integer, p_holder uuid, p_runner text, p_excused boolean, p_alone boolean, p_announce boolean,
    OUT answer text, OUT detail jsonb, OUT run runs
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT c.answer, c.detail INTO answer, detail
    FROM relayrun_try_claim(p_run, p_attempt, p_holder, p_runner, p_excused, p_alone) AS c;
    IF p_announce AND answer = 'Claimed' THEN
        INSERT INTO run_events (run_id, seq, event, data)
        VALUES (p_run, (p_attempt::bigint << 32) + 1, 'metadata',
                jsonb_build_object('run_id', p_run, 'attempt', p_attempt)::text)
        ON CONFLICT (run_id, seq) DO NOTHING;                -- claimed twice: the first answer was lost
    END IF;
    SELECT * INTO run FROM runs WHERE run_id = p_run;        -- a statement of its own: it sees what the claim did
END $$;

-- Gives a run back when its runner drains; the attempt is fenced off and does not count as failed. False: it was not
-- ours.
CREATE FUNCTION relayrun_release(p_run uuid, p_attempt integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key(p_run));
    UPDATE runs SET status = 'pending', holder = NULL, runner = NULL, updated_at = now(),
        suspect = suspect AND progress = progress_at_claim
    WHERE run_id = p_run AND attempt = p_attempt AND status = 'running';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE run_attempts SET ended_at = now(), ending = 'Drained' WHERE run_id = p_run AND attempt = p_attempt;
    RETURN true;
END $$;
