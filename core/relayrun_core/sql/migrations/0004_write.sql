-- Everything an attempt writes at once, behind its fence, as one statement: a driver pays for each statement it sends.
-- The three inserts are those of langgraph-checkpoint-postgres; arrays of one kind have the same length.

CREATE FUNCTION relayrun_write_v1(
    p_run uuid, p_attempt integer, p_thread text,
    p_blob_ns text[], p_blob_channel text[], p_blob_version text[], p_blob_type text[], p_blob bytea[],
    p_ns text[], p_id text[], p_parent text[], p_checkpoint jsonb[], p_metadata jsonb[],
    p_write_ns text[], p_write_id text[], p_task text[], p_path text[], p_idx integer[], p_channel text[],
    p_type text[], p_write bytea[], p_replaces boolean[],
    p_seqs bigint[], p_events text[], p_data text[]
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM relayrun_fence_progress_v1(p_run, p_attempt);
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
    INSERT INTO run_events (run_id, seq, event, data)
    SELECT p_run, e.seq, e.event, e.data FROM unnest(p_seqs, p_events, p_data) AS e (seq, event, data)
    ON CONFLICT (run_id, seq) DO NOTHING;
END $$;
