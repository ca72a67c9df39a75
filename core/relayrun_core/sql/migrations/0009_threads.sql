-- How long threads and their checkpoints stay, copies of threads, and edits as those see them who follow a thread.

ALTER TABLE threads
    ADD COLUMN state_updated_at timestamptz NOT NULL DEFAULT now(), -- values or interrupts; updated_at is of anything
    ADD COLUMN ttl_minutes      double precision CHECK (ttl_minutes > 0), -- from updated_at on; NULL: the default
    ADD COLUMN ttl_strategy     text CHECK (ttl_strategy IN ('delete', 'keep_latest')),
    ADD COLUMN pruned_at        timestamptz;                    -- when its older checkpoints were last removed
UPDATE threads SET state_updated_at = updated_at;

-- For every way in which a state is written: a trigger of these columns fires for statements that name them.
CREATE FUNCTION relayrun_state_written_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.state_updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER threads_state_written BEFORE UPDATE OF values, interrupts ON threads
    FOR EACH ROW EXECUTE FUNCTION relayrun_state_written_v1();

-- Immutable, as an index needs it: seconds, unlike days, are the same in every time zone.
CREATE FUNCTION relayrun_expiry_v1(p_since timestamptz, p_minutes double precision) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT p_since + make_interval(secs => p_minutes * 60) $$;

CREATE INDEX threads_expiry ON threads (relayrun_expiry_v1(updated_at, ttl_minutes))
    WHERE ttl_minutes IS NOT NULL
      AND (ttl_strategy IS DISTINCT FROM 'keep_latest' OR pruned_at IS NULL OR pruned_at < updated_at);
-- A search without a rare filter walks the one of its order, whoever owns how many.
CREATE INDEX threads_updated ON threads (updated_at DESC, thread_id);
CREATE INDEX threads_created ON threads (created_at DESC, thread_id);
CREATE INDEX threads_state_updated ON threads (state_updated_at DESC, thread_id);
CREATE INDEX threads_status ON threads (status, updated_at DESC, thread_id);
CREATE INDEX runs_temporary ON runs (finished_at)
    WHERE finished_at IS NOT NULL AND spec ->> 'on_completion' = 'delete';
CREATE INDEX runs_number ON runs (thread_id, number);

-- States as edits left them, the newest few of a thread, for its event stream.
CREATE TABLE thread_edits (
    thread_id        uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    number           integer NOT NULL,                          -- behind this run of the thread; 0: before the first
    seq              bigint NOT NULL,                           -- greater than that of any event of the run
    data             text NOT NULL,                             -- JSON as it goes out
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread_id, number, seq)
);

-- Removes a thread's checkpoints but those that going on from its newest state needs. False: it keeps all of them,
-- because a channel of its graph is stored as changes to earlier checkpoints (LangGraph's DeltaChannel).
-- The caller has locked the thread and knows that nothing runs on it.
CREATE FUNCTION relayrun_keep_latest_v1(p_thread text) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_root text;
    v_ns text[];
    v_id text[];
BEGIN
    IF EXISTS (
        SELECT 1 FROM checkpoints c WHERE c.thread_id = p_thread AND (
            c.metadata ? 'counters_since_delta_snapshot' OR c.metadata ? 'delta_writes_versioned'
            OR EXISTS (                                         -- a snapshot: a marker with the value in a blob
                SELECT 1 FROM jsonb_each(c.checkpoint -> 'channel_values') AS v
                JOIN checkpoint_blobs b ON b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
                    AND b.channel = v.key AND b.version = c.checkpoint -> 'channel_versions' ->> v.key
                WHERE v.value = 'true'))
    ) THEN
        RETURN false;
    END IF;
    SELECT max(checkpoint_id) INTO v_root FROM checkpoints WHERE thread_id = p_thread AND checkpoint_ns = '';
    -- The newest of each namespace. A call of a subgraph has one of its own, with the task behind a colon, and goes
    -- with the root's checkpoint that it was made from.
    SELECT array_agg(c.checkpoint_ns), array_agg(c.checkpoint_id) INTO v_ns, v_id
    FROM (SELECT checkpoint_ns, max(checkpoint_id) AS checkpoint_id FROM checkpoints
          WHERE thread_id = p_thread GROUP BY checkpoint_ns) AS newest
    JOIN checkpoints c USING (checkpoint_ns, checkpoint_id)
    WHERE c.thread_id = p_thread
      AND (c.checkpoint_ns NOT LIKE '%:%' OR coalesce(c.metadata -> 'parents' ->> '', v_root) >= v_root);
    DELETE FROM checkpoint_writes w WHERE w.thread_id = p_thread AND NOT EXISTS (
        SELECT 1 FROM unnest(v_ns, v_id) AS k (ns, id) WHERE k.ns = w.checkpoint_ns AND k.id = w.checkpoint_id);
    DELETE FROM checkpoints c WHERE c.thread_id = p_thread AND NOT EXISTS (
        SELECT 1 FROM unnest(v_ns, v_id) AS k (ns, id) WHERE k.ns = c.checkpoint_ns AND k.id = c.checkpoint_id);
    UPDATE checkpoints SET parent_checkpoint_id = NULL WHERE thread_id = p_thread;
    WITH used AS MATERIALIZED (
        SELECT c.checkpoint_ns, v.key, v.value
        FROM checkpoints c, jsonb_each_text(c.checkpoint -> 'channel_versions') AS v WHERE c.thread_id = p_thread
    )
    DELETE FROM checkpoint_blobs b WHERE b.thread_id = p_thread AND NOT EXISTS (
        SELECT 1 FROM used u WHERE u.checkpoint_ns = b.checkpoint_ns AND u.key = b.channel AND u.value = b.version);
    RETURN true;
END $$;
