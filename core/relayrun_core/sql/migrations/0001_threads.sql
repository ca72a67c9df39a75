-- Threads, the edits of their states, and how long they stay. LangGraph's own tables stand beside these.

CREATE TABLE threads (
    thread_id        uuid PRIMARY KEY,
    owner            text,                                  -- NULL: admins only
    name             text,                                  -- what its owner calls it
    metadata         jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'busy', 'interrupted', 'error')),
    values           jsonb,                                 -- as of the last finish or edit
    interrupts       jsonb NOT NULL DEFAULT '[]',           -- [{id, value, task_id, answered}] as of the last finish or edit
    error            jsonb,
    graph            text,                                  -- of the last run
    agent            text,
    run_count        integer NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    state_updated_at timestamptz NOT NULL DEFAULT now(),    -- values or interrupts; updated_at is of anything
    ttl_minutes      double precision CHECK (ttl_minutes > 0), -- from updated_at on; NULL: the default
    ttl_strategy     text CHECK (ttl_strategy IN ('delete', 'keep_latest')),
    pruned_at        timestamptz,                           -- when its older checkpoints were last deleted
    output_keys      jsonb,                                 -- the values that a waiting client gets: keys, or one; NULL: all
    head             text,                                  -- the newest state as JSON, without its values
    head_at          timestamptz,                           -- `head` is current while this equals state_updated_at
    head_by          text,                                  -- the graph and build that made it; NULL: ask for another
    head_run         uuid,                                  -- whose outcome has its values as JSON
    head_values      text,                                  -- of a head that is no run's, or shows them otherwise
    config           jsonb NOT NULL DEFAULT '{}',           -- of its runs; without `configurable`, which may hold secrets
    configurable     jsonb NOT NULL DEFAULT '{}'            -- what its runs' assistants say there, the last one's on top
);
CREATE INDEX threads_owner ON threads (owner, updated_at DESC);
CREATE INDEX threads_metadata ON threads USING gin (metadata jsonb_path_ops);
-- Not unique: one name has one id, so the primary key keeps two first uses apart.
CREATE INDEX threads_name ON threads (coalesce(owner, ''), name) WHERE name IS NOT NULL;
-- A search without a rare filter walks the index of its order, whoever owns how many threads.
CREATE INDEX threads_updated ON threads (updated_at DESC, thread_id);
CREATE INDEX threads_created ON threads (created_at DESC, thread_id);
CREATE INDEX threads_state_updated ON threads (state_updated_at DESC, thread_id);
CREATE INDEX threads_status ON threads (status, updated_at DESC, thread_id);

-- Edited states, the newest few of a thread, for its event stream.
CREATE TABLE thread_edits (
    thread_id        uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    number           integer NOT NULL,                          -- after this run of the thread; 0: before the first
    seq              bigint NOT NULL,                           -- greater than that of any event of the run
    data             text NOT NULL,                             -- JSON as it goes out
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread_id, number, seq)
);

-- A secret of this installation, made once: two random UUIDs have 244 random bits. The ids of named threads derive from
-- it.
CREATE TABLE installation (
    secret           bytea NOT NULL
);
INSERT INTO installation (secret)
VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));
CREATE UNIQUE INDEX installation_is_one ON installation ((true));

-- Returns the id of the thread that an owner calls by a name, whether the thread exists or not. Clients may choose the
-- ids of threads, so nobody else may be able to work it out in advance. `p_former` is what older versions would have
-- called it: it counts only where that thread is the caller's own already.
CREATE FUNCTION relayrun_thread_id(p_owner text, p_name text, p_former uuid) RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT thread_id FROM threads WHERE coalesce(owner, '') = coalesce(p_owner, '') AND name = p_name
         ORDER BY created_at, thread_id LIMIT 1),
        (SELECT thread_id FROM threads
         WHERE thread_id = p_former AND coalesce(owner, '') = coalesce(p_owner, '') AND name IS NULL),
        -- As a UUID of version 4: to everybody else it is random.
        (SELECT overlay(overlay(encode(substring(d.digest FOR 16), 'hex') PLACING '4' FROM 13 FOR 1)
                        PLACING substr('89ab', 1 + get_byte(d.digest, 16) % 4, 1) FROM 17 FOR 1)::uuid
         FROM installation i, LATERAL (SELECT sha256(
             i.secret || sha256(convert_to(coalesce(p_owner, ''), 'UTF8')) || sha256(convert_to(p_name, 'UTF8'))
         ) AS digest) AS d))
$$;

-- A BEFORE UPDATE trigger on the state's columns, so that every way of writing a state sets the time.
CREATE FUNCTION relayrun_state_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.state_updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER threads_state_written BEFORE UPDATE OF values, interrupts ON threads
    FOR EACH ROW EXECUTE FUNCTION relayrun_state_written();

-- When a thread's older checkpoints are deleted, the newest state's parent is gone, and `head` names it.
CREATE FUNCTION relayrun_pruned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.head := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER threads_pruned BEFORE UPDATE OF pruned_at ON threads
    FOR EACH ROW EXECUTE FUNCTION relayrun_pruned();

-- Immutable, as an index needs it: seconds, unlike days, are the same in every time zone.
CREATE FUNCTION relayrun_expiry(p_since timestamptz, p_minutes double precision) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT p_since + make_interval(secs => p_minutes * 60) $$;
CREATE INDEX threads_expiry ON threads (relayrun_expiry(updated_at, ttl_minutes))
    WHERE ttl_minutes IS NOT NULL
      AND (ttl_strategy IS DISTINCT FROM 'keep_latest' OR pruned_at IS NULL OR pruned_at < updated_at);

-- Deletes a thread's checkpoints except those that going on from its newest state needs. False: it keeps all of them,
-- because a channel of its graph is stored as changes to earlier checkpoints (LangGraph's DeltaChannel).
-- The caller has locked the thread and knows that nothing runs on it.
CREATE FUNCTION relayrun_keep_latest(p_thread text) RETURNS boolean
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

-- Returns a thread's config after a run. If both together would be too large, it is the run's alone.
CREATE FUNCTION relayrun_thread_config(p_before jsonb, p_run jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_run jsonb := coalesce(p_run, '{}') || '{"configurable": {}}';
BEGIN
    RETURN CASE WHEN octet_length(p_before::text) + octet_length(v_run::text) > 262144 THEN v_run
                ELSE p_before || v_run END;
END $$;
