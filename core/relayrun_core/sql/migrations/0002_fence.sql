-- The fence: who may write. Versioned functions, so that version N-1 of the code runs on schema N.
-- Lock order everywhere: the run's advisory lock, the thread row, the run row.

CREATE FUNCTION relayrun_lock_key_v1(p_run uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(p_run::text, 7260) $$;

-- Proves that the attempt still holds the run, until the transaction ends. VOLATILE plpgsql with two statements
-- on purpose: the check must have a newer snapshot than the lock, or a stale attempt could write.
CREATE FUNCTION relayrun_fence_v1(p_run uuid, p_attempt integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(relayrun_lock_key_v1(p_run));
    PERFORM 1 FROM runs WHERE run_id = p_run AND attempt = p_attempt AND status = 'running';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'attempt % of run % does not hold the run', p_attempt, p_run USING ERRCODE = 'RR001';
    END IF;
END $$;

-- The same, and counts the write as progress.
CREATE FUNCTION relayrun_fence_progress_v1(p_run uuid, p_attempt integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(relayrun_lock_key_v1(p_run));
    UPDATE runs SET progress = progress + 1 WHERE run_id = p_run AND attempt = p_attempt AND status = 'running';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'attempt % of run % does not hold the run', p_attempt, p_run USING ERRCODE = 'RR001';
    END IF;
END $$;

-- Ends the sessions that hold the run's advisory lock: a frozen process would hold it for minutes. All parts share
-- one role, so this is allowed; whoever is ended in error starts its transaction again.
CREATE FUNCTION relayrun_break_lock_v1(p_run uuid) RETURNS integer
LANGUAGE sql VOLATILE AS $$
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 1000))::integer FROM (
        SELECT DISTINCT pid FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid <> pg_backend_pid()
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid::bigint = (relayrun_lock_key_v1(p_run) >> 32) & 4294967295
          AND objid::bigint = relayrun_lock_key_v1(p_run) & 4294967295
    ) AS holders
$$;

-- Appends to the journal in an asynchronous commit; NOTIFY only here, because it serialises commits.
CREATE FUNCTION relayrun_append_v1(p_run uuid, p_attempt integer, p_seqs bigint[], p_events text[], p_data text[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM relayrun_fence_v1(p_run, p_attempt);
    INSERT INTO run_events (run_id, seq, event, data)
    SELECT p_run, e.seq, e.event, e.data FROM unnest(p_seqs, p_events, p_data) AS e (seq, event, data)
    ON CONFLICT (run_id, seq) DO NOTHING;
    PERFORM pg_notify('relayrun_events', p_run::text);
END $$;

-- A hint that something of a run changed.
CREATE FUNCTION relayrun_notify_v1(p_channel text, p_run uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_notify(p_channel, p_run::text);
END $$;
