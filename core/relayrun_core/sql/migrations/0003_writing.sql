-- What an attempt writes, behind the fence: who may write, checkpoints and events in one statement, what counts as
-- progress. Lock order everywhere: the run's advisory lock, the thread row, the run row.

CREATE FUNCTION relayrun_lock_key(p_run uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(p_run::text, 7260) $$;

-- Proves that the attempt still holds the run, until the transaction ends. VOLATILE plpgsql with two statements
-- on purpose: the check must have a newer snapshot than the lock, or a stale attempt could write.
CREATE FUNCTION relayrun_fence(p_run uuid, p_attempt integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(relayrun_lock_key(p_run));
    PERFORM 1 FROM runs WHERE run_id = p_run AND attempt = p_attempt AND status = 'running';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'attempt % of run % does not hold the run', p_attempt, p_run USING ERRCODE = 'RR001';
    END IF;
END $$;

-- Ends the sessions that hold the run's advisory lock: a frozen process would hold it for minutes. All parts share
-- one role, so this is allowed; a client whose session ends in error starts its transaction again.
CREATE FUNCTION relayrun_break_lock(p_run uuid) RETURNS integer
LANGUAGE sql VOLATILE AS $$
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 1000))::integer FROM (
        SELECT DISTINCT pid FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid <> pg_backend_pid()
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid::bigint = (relayrun_lock_key(p_run) >> 32) & 4294967295
          AND objid::bigint = relayrun_lock_key(p_run) & 4294967295
    ) AS holders
$$;

-- Sends a hint that something of a run changed, in an asynchronous commit: NOTIFY serialises commits.
CREATE FUNCTION relayrun_notify(p_channel text, p_run uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_notify(p_channel, p_run::text);
END $$;

-- Appends to the journal in an asynchronous commit, with a hint.
CREATE FUNCTION relayrun_append(p_run uuid, p_attempt integer, p_seqs bigint[], p_events text[], p_data text[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM relayrun_fence(p_run, p_attempt);
    INSERT INTO run_events (run_id, seq, event, data)
    SELECT p_run, e.seq, e.event, e.data FROM unnest(p_seqs, p_events, p_data) AS e (seq, event, data)
    ON CONFLICT (run_id, seq) DO NOTHING;
    PERFORM pg_notify('relayrun_events', p_run::text);
END $$;

-- Progress of a run is a new checkpoint, or a task that succeeded, from which a next attempt goes on. No task's error,
-- no question and no answer, no command's own write, nothing written again: otherwise a run that ends its process at
-- one place would go on for ever.

-- Finds what of a write would be progress, before it is made: a namespace and checkpoint for each new checkpoint that
-- no code of an author edited, and for each task that succeeded.
CREATE FUNCTION relayrun_find_progress(
    p_thread text, p_ns text[], p_id text[], p_metadata jsonb[],
    p_write_ns text[], p_write_id text[], p_task text[], p_idx integer[], p_channel text[],
    OUT ns text[], OUT id text[]
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN                                                        -- plpgsql: LangGraph's tables come later than this
    WITH given AS (
        SELECT w.* FROM unnest(p_write_ns, p_write_id, p_task, p_idx, p_channel) AS w (ns, id, task, idx, channel)
    ), found AS (
        SELECT c.ns, c.id FROM unnest(p_ns, p_id, p_metadata) AS c (ns, id, metadata)
        WHERE c.metadata ->> 'source' IS DISTINCT FROM 'update' AND NOT EXISTS (
            SELECT 1 FROM checkpoints o
            WHERE o.thread_id = p_thread AND o.checkpoint_ns = c.ns AND o.checkpoint_id = c.id)
        UNION ALL
        -- Writes below zero are LangGraph's own: an error, a question, an answer. A task that failed may have written
        -- before. Under the null task is what belongs to no task: a command's update and goto.
        SELECT w.ns, w.id FROM given w
        WHERE w.idx >= 0 AND w.task <> '00000000-0000-0000-0000-000000000000' AND NOT EXISTS (
            SELECT 1 FROM given e WHERE e.ns = w.ns AND e.id = w.id AND e.task = w.task AND e.channel = '__error__'
        ) AND NOT EXISTS (
            SELECT 1 FROM checkpoint_writes o WHERE o.thread_id = p_thread AND o.checkpoint_ns = w.ns
                AND o.checkpoint_id = w.id AND o.task_id = w.task AND o.idx = w.idx
        ) GROUP BY w.ns, w.id, w.task
    )
    SELECT array_agg(found.ns), array_agg(found.id) INTO ns, id FROM found;
END $$;

-- Counts what was just written behind the fence: a namespace and checkpoint for each checkpoint, or task of one.
CREATE FUNCTION relayrun_count_progress(p_run uuid, p_attempt integer, p_thread text, p_ns text[], p_id text[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_newest text;
    v_root bigint;
    v_known bigint;
    v_anew bigint;
    v_progress bigint;
BEGIN
    IF p_attempt > 1 THEN
        SELECT newest INTO v_newest FROM run_anew WHERE run_id = p_run AND attempt = p_attempt;
        IF NOT FOUND THEN
            SELECT max(checkpoint_id) INTO v_newest FROM checkpoints
            WHERE thread_id = p_thread AND checkpoint_id <> ALL (p_id);
        END IF;
    END IF;
    -- A subgraph's work serves nobody while the checkpoint of the root that it belongs to is not there.
    SELECT count(*) FILTER (WHERE w.ns = ''), count(*) FILTER (WHERE w.ns <> '' AND k.known),
           count(*) FILTER (WHERE w.ns <> '' AND NOT k.known)
    INTO v_root, v_known, v_anew
    FROM unnest(p_ns, p_id) AS w (ns, id)
    JOIN checkpoints c ON c.thread_id = p_thread AND c.checkpoint_ns = w.ns AND c.checkpoint_id = w.id
    CROSS JOIN LATERAL (SELECT p_attempt = 1 OR EXISTS (
        SELECT 1 FROM checkpoints o
        WHERE o.thread_id = p_thread AND o.checkpoint_ns = w.ns AND o.checkpoint_id <= v_newest
    ) AS known) AS k
    WHERE w.ns = '' OR EXISTS (
        SELECT 1 FROM checkpoints r
        WHERE r.thread_id = p_thread AND r.checkpoint_ns = '' AND r.checkpoint_id = c.metadata -> 'parents' ->> '');
    v_progress := v_root + v_known;
    IF p_attempt > 1 AND v_root > 0 THEN
        DELETE FROM run_anew WHERE run_id = p_run;
    ELSIF v_anew > 0 THEN
        INSERT INTO run_anew AS a (run_id, attempt, newest, done, most)
        VALUES (p_run, p_attempt, v_newest, v_anew, 0)
        ON CONFLICT (run_id) DO UPDATE SET
            attempt = p_attempt, newest = v_newest,
            done = v_anew + CASE WHEN a.attempt = p_attempt THEN a.done ELSE 0 END,
            most = CASE WHEN a.attempt = p_attempt THEN a.most ELSE greatest(a.most, a.done) END
        RETURNING v_progress + (a.done > a.most)::integer INTO v_progress;
    END IF;
    IF v_progress > 0 THEN
        UPDATE runs SET progress = progress + v_progress WHERE run_id = p_run;
    END IF;
END $$;

-- Writes everything of an attempt at once, behind its fence, as one statement: a driver pays for each statement it
-- sends. The inserts are those of langgraph-checkpoint-postgres; arrays of one kind have the same length. A first
-- attempt is asked only whether it made any progress: once it did, nothing is counted.
CREATE FUNCTION relayrun_write(
    p_run uuid, p_attempt integer, p_thread text,
    p_blob_ns text[], p_blob_channel text[], p_blob_version text[], p_blob_type text[], p_blob bytea[],
    p_ns text[], p_id text[], p_parent text[], p_checkpoint jsonb[], p_metadata jsonb[],
    p_write_ns text[], p_write_id text[], p_task text[], p_path text[], p_idx integer[], p_channel text[],
    p_type text[], p_write bytea[], p_replaces boolean[],
    p_seqs bigint[], p_events text[], p_data text[]
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_counts boolean;
    v_new_ns text[];
    v_new_id text[];
BEGIN
    -- The fence: as in `relayrun_fence`, two statements on purpose.
    PERFORM pg_advisory_xact_lock_shared(relayrun_lock_key(p_run));
    SELECT p_attempt > 1 OR progress = progress_at_claim INTO v_counts FROM runs
    WHERE run_id = p_run AND attempt = p_attempt AND status = 'running';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'attempt % of run % does not hold the run', p_attempt, p_run USING ERRCODE = 'RR001';
    END IF;
    IF v_counts THEN
        SELECT f.ns, f.id INTO v_new_ns, v_new_id FROM relayrun_find_progress(
            p_thread, p_ns, p_id, p_metadata, p_write_ns, p_write_id, p_task, p_idx, p_channel) AS f;
    END IF;
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT p_thread, b.* FROM unnest(p_blob_ns, p_blob_channel, p_blob_version, p_blob_type, p_blob) AS b
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING;
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT p_thread, c.* FROM unnest(p_ns, p_id, p_parent, p_checkpoint, p_metadata) AS c
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
    DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata;
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT p_thread, w.ns, w.id, w.task, w.path, w.idx, w.channel, w.type, w.blob
    FROM unnest(p_write_ns, p_write_id, p_task, p_path, p_idx, p_channel, p_type, p_write, p_replaces)
        AS w (ns, id, task, path, idx, channel, type, blob, replaces)
    WHERE NOT w.replaces
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING;
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT p_thread, w.ns, w.id, w.task, w.path, w.idx, w.channel, w.type, w.blob
    FROM unnest(p_write_ns, p_write_id, p_task, p_path, p_idx, p_channel, p_type, p_write, p_replaces)
        AS w (ns, id, task, path, idx, channel, type, blob, replaces)
    WHERE w.replaces
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    DO UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob;
    IF v_new_ns IS NOT NULL THEN
        PERFORM relayrun_count_progress(p_run, p_attempt, p_thread, v_new_ns, v_new_id);
    END IF;
    INSERT INTO run_events (run_id, seq, event, data)
    SELECT p_run, e.seq, e.event, e.data FROM unnest(p_seqs, p_events, p_data) AS e (seq, event, data)
    ON CONFLICT (run_id, seq) DO NOTHING;
END $$;

-- The fence for statements of a saver that `relayrun_write` was not written for. Called before them with -1 and after
-- them with 1, it counts the rows that are new and may be progress.
CREATE FUNCTION relayrun_fence_rows(p_run uuid, p_attempt integer, p_thread text, p_sign integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM relayrun_fence(p_run, p_attempt);
    UPDATE runs SET progress = progress + p_sign * (
        (SELECT count(*) FROM checkpoints WHERE thread_id = p_thread) +
        (SELECT count(*) FROM checkpoint_writes w WHERE w.thread_id = p_thread AND w.idx >= 0
             AND w.task_id <> '00000000-0000-0000-0000-000000000000' AND NOT EXISTS (
             SELECT 1 FROM checkpoint_writes e WHERE e.thread_id = p_thread AND e.checkpoint_ns = w.checkpoint_ns
                 AND e.checkpoint_id = w.checkpoint_id AND e.task_id = w.task_id AND e.channel = '__error__')))
    WHERE run_id = p_run;
END $$;
