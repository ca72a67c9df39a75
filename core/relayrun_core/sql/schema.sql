-- The schema as all migrations leave it. Written by `make schema`: change it through a migration, never here.
-- LangGraph's own tables (checkpoints, checkpoint_blobs, checkpoint_writes, store) stand beside these.

-- ===== threads: Threads, the edits of their states, and how long they stay. LangGraph's own tables stand beside these.

CREATE TABLE threads (
    thread_id            uuid NOT NULL,
    owner                text,                               -- NULL: admins only
    name                 text,                               -- what its owner calls it
    metadata             jsonb NOT NULL DEFAULT '{}',
    status               text NOT NULL DEFAULT 'idle',
    values               jsonb,                              -- as of the last finish or edit
    interrupts           jsonb NOT NULL DEFAULT '[]',        -- [{id, value, task_id, answered}] as of the last finish or edit
    error                jsonb,
    graph                text,                               -- of the last run
    agent                text,
    run_count            integer NOT NULL DEFAULT 0,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    state_updated_at     timestamptz NOT NULL DEFAULT now(), -- values or interrupts; updated_at is of anything
    ttl_minutes          double precision,                   -- from updated_at on; NULL: the default
    ttl_strategy         text,
    pruned_at            timestamptz,                        -- when its older checkpoints were last deleted
    output_keys          jsonb,                              -- the values that a waiting client gets: keys, or one; NULL: all
    head                 text,                               -- the newest state as JSON, without its values
    head_at              timestamptz,                        -- `head` is current while this equals state_updated_at
    head_by              text,                               -- the graph and build that made it; NULL: ask for another
    head_run             uuid,                               -- whose outcome has its values as JSON
    head_values          text,                               -- of a head that is no run's, or shows them otherwise
    config               jsonb NOT NULL DEFAULT '{}',        -- of its runs; without `configurable`, which may hold secrets
    configurable         jsonb NOT NULL DEFAULT '{}',        -- what its runs' assistants say there, the last one's on top
    revision             text,                               -- while it is open, which is busy or interrupted; else NULL
    CONSTRAINT threads_pkey PRIMARY KEY (thread_id),
    CONSTRAINT threads_status_check CHECK (status = ANY (ARRAY['idle'::text, 'busy'::text, 'interrupted'::text, 'error'::text])),
    CONSTRAINT threads_ttl_minutes_check CHECK (ttl_minutes > 0::double precision),
    CONSTRAINT threads_ttl_strategy_check CHECK (ttl_strategy = ANY (ARRAY['delete'::text, 'keep_latest'::text]))
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
    thread_id            uuid NOT NULL,
    number               integer NOT NULL, -- after this run of the thread; 0: before the first
    seq                  bigint NOT NULL,  -- greater than that of any event of the run
    data                 text NOT NULL,    -- JSON as it goes out
    created_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT thread_edits_pkey PRIMARY KEY (thread_id, number, seq),
    CONSTRAINT thread_edits_thread_id_fkey FOREIGN KEY (thread_id) REFERENCES threads(thread_id) ON DELETE CASCADE
);

-- A secret of this installation, made once: two random UUIDs have 244 random bits. The ids of named threads derive from
-- it.
CREATE TABLE installation (
    secret               bytea NOT NULL
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

-- ===== runs: Runs, their attempts, their journal and their outcomes.

CREATE TABLE runs (
    run_id               uuid NOT NULL,
    seq                  bigint NOT NULL GENERATED ALWAYS AS IDENTITY, -- the order of runs: the database's, not a clock's
    thread_id            uuid NOT NULL,
    number               integer NOT NULL,                             -- the n-th run of its thread; 0 while it is delayed
    owner                text,
    agent                text NOT NULL,
    graph                text NOT NULL,
    assistant_id         uuid,
    status               text NOT NULL DEFAULT 'pending',
    reason               text,
    message              text,
    spec                 jsonb NOT NULL,
    attempt              integer NOT NULL DEFAULT 0,                   -- the fencing token: only grows
    holder               uuid,                                         -- the runner process that has the attempt
    runner               text,
    progress             bigint NOT NULL DEFAULT 0,                    -- grows with each new checkpoint or task that succeeded
    progress_at_claim    bigint NOT NULL DEFAULT 0,
    failed_attempts      integer NOT NULL DEFAULT 0,                   -- attempts without progress
    suspect              boolean NOT NULL DEFAULT false,               -- died without progress in company: next placed alone
    not_before           timestamptz,                                  -- backing off until then
    cancel_requested_at  timestamptz,
    cancel_action        text,
    base                 jsonb,                                        -- what a rollback goes back to: {checkpoint_id, high_water}
    dispatched_at        timestamptz,                                  -- its AgentRun was created
    error                jsonb,
    checkpoint_id        text,
    created_at           timestamptz NOT NULL DEFAULT now(),           -- of a delayed run: when it starts
    updated_at           timestamptz NOT NULL DEFAULT now(),
    started_at           timestamptz,
    finished_at          timestamptz,
    object               jsonb,                                        -- the AgentRun of a run by kubectl: {namespace, name, uid}
    cluster              text,                                         -- UIDs of namespace and kind that its AgentRun was made in
    look_after           timestamptz,                                  -- the reconciler leaves it alone until then
    refusals             integer NOT NULL DEFAULT 0,                   -- how often the API server refused its AgentRun
    refusal              text,                                         -- why, in the API server's own words
    revision             text,                                         -- of its last attempt, or of its open thread; NULL: none
    CONSTRAINT runs_pkey PRIMARY KEY (run_id),
    CONSTRAINT runs_thread_id_fkey FOREIGN KEY (thread_id) REFERENCES threads(thread_id) ON DELETE CASCADE,
    CONSTRAINT runs_cancel_action_check CHECK (cancel_action = ANY (ARRAY['interrupt'::text, 'rollback'::text])),
    CONSTRAINT runs_status_check CHECK (status = ANY (ARRAY['delayed'::text, 'pending'::text, 'running'::text, 'success'::text, 'interrupted'::text, 'error'::text, 'timeout'::text, 'cancelled'::text]))
) WITH (fillfactor=60);
CREATE UNIQUE INDEX runs_one_running_a_thread ON runs (thread_id) WHERE status = 'running';
CREATE INDEX runs_unfinished ON runs (thread_id, seq) WHERE status IN ('pending', 'running');
CREATE INDEX runs_thread ON runs (thread_id, seq DESC);
CREATE INDEX runs_number ON runs (thread_id, number);
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_temporary ON runs (finished_at)
    WHERE finished_at IS NOT NULL AND spec ->> 'on_completion' = 'delete';

-- When there is something to do: to start it, or to end it because a later run displaced it.
CREATE INDEX runs_delayed ON runs (coalesce(cancel_requested_at, created_at)) WHERE status = 'delayed';

-- One row per attempt: who tried, and how the try ended. Shows whether a run died in company.
CREATE TABLE run_attempts (
    run_id               uuid NOT NULL,
    attempt              integer NOT NULL,
    holder               uuid NOT NULL,
    runner               text NOT NULL,
    claimed_at           timestamptz NOT NULL DEFAULT now(),
    ended_at             timestamptz,
    ending               text,
    CONSTRAINT run_attempts_pkey PRIMARY KEY (run_id, attempt),
    CONSTRAINT run_attempts_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(run_id) ON DELETE CASCADE,
    CONSTRAINT run_attempts_ending_check CHECK (ending = ANY (ARRAY['Finished'::text, 'Drained'::text, 'Lost'::text]))
);
CREATE INDEX run_attempts_holder ON run_attempts (holder);

-- Pending writes that a rollback restores; most runs have none.
CREATE TABLE run_base_writes (
    run_id               uuid NOT NULL,
    thread_id            text NOT NULL,
    checkpoint_ns        text NOT NULL,
    checkpoint_id        text NOT NULL,
    task_id              text NOT NULL,
    idx                  integer NOT NULL,
    channel              text NOT NULL,
    type                 text,
    blob                 bytea NOT NULL,
    task_path            text NOT NULL DEFAULT '',
    CONSTRAINT run_base_writes_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(run_id) ON DELETE CASCADE
);
CREATE INDEX run_base_writes_run ON run_base_writes (run_id);

-- What attempts after the first did in namespaces that were new to them, since the root last advanced. An attempt that
-- cannot go on from what was there does it all anew under other names: only one that does more is any further.
CREATE TABLE run_anew (
    run_id               uuid NOT NULL,
    attempt              integer NOT NULL,
    newest               text,            -- the thread's newest checkpoint before the attempt
    done                 bigint NOT NULL, -- by the attempt
    most                 bigint NOT NULL, -- by one of those before it
    CONSTRAINT run_anew_pkey PRIMARY KEY (run_id),
    CONSTRAINT run_anew_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(run_id) ON DELETE CASCADE
);

-- The journal. seq = attempt · 2^32 + n.
CREATE TABLE run_events (
    run_id               uuid NOT NULL,
    seq                  bigint NOT NULL,
    event                text NOT NULL,
    data                 text NOT NULL, -- JSON as it goes out
    created_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT run_events_pkey PRIMARY KEY (run_id, seq),
    CONSTRAINT run_events_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(run_id) ON DELETE CASCADE
);

-- A run's own outcome: the thread's row is that of its last run. It is deleted with the run's journal.
CREATE TABLE run_outcomes (
    run_id               uuid NOT NULL,
    values               text NOT NULL, -- JSON as it goes out
    output_keys          jsonb,         -- see threads.output_keys
    questions            text NOT NULL, -- JSON as it goes out: what it waits for
    CONSTRAINT run_outcomes_pkey PRIMARY KEY (run_id),
    CONSTRAINT run_outcomes_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(run_id) ON DELETE CASCADE
);

-- Postgres' own compression of a large state takes as long as all else of a finish (1.5 MB: 40 ms of 80).
DO $$ BEGIN
    ALTER TABLE run_outcomes ALTER COLUMN values SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    ALTER TABLE run_outcomes ALTER COLUMN values SET STORAGE EXTERNAL;
END $$;

-- How far old rows have been deleted, so that nobody looks through them again. Whoever deletes some has locked the row.
CREATE TABLE tidied (
    rows_of              text NOT NULL,        -- a table
    finished_at          timestamptz NOT NULL, -- of the run behind which there is more
    run_id               uuid NOT NULL,
    CONSTRAINT tidied_pkey PRIMARY KEY (rows_of)
);

INSERT INTO tidied VALUES ('run_events', 'epoch', '00000000-0000-0000-0000-000000000000');

-- Runs that were deleted with their thread while they were unfinished. Their AgentRun, which has the payload, may be
-- given to a runner once more, and must not create run and thread again.
CREATE TABLE deleted_runs (
    run_id               uuid NOT NULL,
    deleted_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deleted_runs_pkey PRIMARY KEY (run_id)
);
CREATE INDEX deleted_runs_at ON deleted_runs (deleted_at);

-- Refuses to insert a run that was deleted with its thread (SQLSTATE RR003).
CREATE FUNCTION relayrun_refuse_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM deleted_runs WHERE run_id = NEW.run_id) THEN
        RAISE EXCEPTION 'run % was deleted with its thread', NEW.run_id USING ERRCODE = 'RR003';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_deleted BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION relayrun_refuse_deleted();

-- Adds what a new run's assistant says in `configurable` to its thread's. Graph factories get it when the thread's
-- state is read, as the Agent Server does it. A run's own `configurable` is not among it.
CREATE FUNCTION relayrun_keep_configurable() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- Of what would be too much, the newest run's alone is kept.
    UPDATE threads SET configurable = CASE
        WHEN pg_column_size(configurable) > 65536 THEN NEW.spec -> 'assistant_configurable'
        ELSE configurable || (NEW.spec -> 'assistant_configurable') END
    WHERE thread_id = NEW.thread_id
        AND NOT configurable @> (NEW.spec -> 'assistant_configurable');
    RETURN NULL;
END $$;

-- Most runs' assistants say nothing, and cost nothing.
CREATE TRIGGER runs_configurable AFTER INSERT ON runs FOR EACH ROW
WHEN (coalesce(NEW.spec -> 'assistant_configurable', '{}') <> '{}')
EXECUTE FUNCTION relayrun_keep_configurable();

-- ===== writing: What an attempt writes, behind the fence: who may write, checkpoints and events in one statement, what counts as progress. Lock order everywhere: the run's advisory lock, the thread row, the run row.

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

-- ===== accepting: Accepting runs: limits on starts, idempotency keys, answers to questions, and runs that start later.

-- One row per accepted start, numbered for its subject without a gap, so that counting is a subtraction.
CREATE TABLE run_starts (
    subject              text NOT NULL,
    started_at           timestamptz NOT NULL,
    number               bigint NOT NULL,
    CONSTRAINT run_starts_pkey PRIMARY KEY (subject, started_at)
);
CREATE INDEX run_starts_old ON run_starts USING brin (started_at);

-- Keys that make a request start its runs once.
CREATE TABLE idempotency_keys (
    owner                text NOT NULL,  -- who sent it; '' without authentication
    key                  text NOT NULL,
    fingerprint          bytea NOT NULL, -- of the request
    run_id               uuid NOT NULL,  -- no reference: a deleted run is not started again
    created_at           timestamptz NOT NULL DEFAULT now(),
    run_ids              uuid[],         -- all runs of a request that started several, in order
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_old ON idempotency_keys USING brin (created_at);

-- Returns what a subject has used of its limit in the window that ends now, and the seconds until its oldest start
-- leaves the window. Nobody else starts anything for the subject until this transaction ends.
CREATE FUNCTION relayrun_used(
    p_subject text, p_window interval,
    OUT used bigint, OUT seconds double precision, OUT moment timestamptz, OUT newest bigint
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_last timestamptz;
    v_oldest timestamptz;
    v_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_subject, 7261));
    -- After the lock: the transaction may have begun long before it.
    moment := clock_timestamp();
    SELECT s.started_at, s.number INTO v_last, newest FROM run_starts s
    WHERE s.subject = p_subject ORDER BY s.started_at DESC LIMIT 1;
    SELECT s.started_at, s.number INTO v_oldest, v_number FROM run_starts s
    WHERE s.subject = p_subject AND s.started_at > moment - p_window ORDER BY s.started_at LIMIT 1;
    used := coalesce(newest - v_number + 1, 0);
    seconds := extract(epoch FROM coalesce(v_oldest, moment) + p_window - moment);
    moment := greatest(moment, v_last + interval '1 microsecond');   -- a clock may be set back
    newest := coalesce(newest, 0);
END $$;

-- Binds a resume to the questions it answers. A scalar needs exactly one pending question; a map names them.
-- JSON null: nothing to bind it to.
CREATE FUNCTION relayrun_bind_answers(p_resume jsonb, p_interrupts jsonb) RETURNS jsonb
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

-- Accepts a run, for later if there is a delay. `p_object`: the AgentRun that it came with. What is refused leaves
-- nothing behind, a new thread neither. Answers Created, or why not: ThreadNotFound, ThreadBusy, ThreadInterrupted,
-- ResumeConflict.
CREATE FUNCTION relayrun_create_run(
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
    v_metadata jsonb;
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
                relayrun_bind_answers(v_spec #> '{command,resume}', v_thread.interrupts));
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
    v_config := relayrun_thread_config(v_thread.config, p_spec -> 'config');
    -- A run has its thread's metadata too, but for what says whose run or thread it is.
    SELECT jsonb_object_agg(m.key, m.value) INTO v_metadata FROM jsonb_each(v_thread.metadata) AS m
    WHERE m.key NOT IN ('graph_id', 'assistant_id') AND NOT starts_with(m.key, 'langgraph_auth_');
    IF v_metadata IS NOT NULL THEN
        v_spec := v_spec || jsonb_build_object('metadata', v_metadata || coalesce(v_spec -> 'metadata', '{}'));
    END IF;
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

-- Accepts runs, all or none, once for an idempotency key and at most so many for a subject; NULL for no limit, no key.
-- `p_runs` is an array of objects with the parameters of `relayrun_create_run_v2` as run, thread, owner, name,
-- thread_metadata, agent, graph, assistant, spec, create, not_interrupted, object, delay_seconds and peers. Of several,
-- each has a thread of its own. `runs` are their ids, or those of the same request before. Answers also Replayed (then
-- `runs` are the first ones), KeyReused or RateLimited; `remaining` and `seconds` are of the limit, NULL where there is
-- none.
CREATE FUNCTION relayrun_start_runs(
    p_runs jsonb, p_subject text, p_limit bigint, p_window interval, p_key_owner text, p_key text, p_fingerprint bytea,
    OUT answer text, OUT runs uuid[], OUT remaining bigint, OUT seconds double precision
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_count bigint := jsonb_array_length(p_runs);
    v_used bigint;
    v_newest bigint;
    v_moment timestamptz;
    v_run record;
BEGIN
    SELECT array_agg((e.value ->> 'run')::uuid ORDER BY e.ordinality) INTO runs
    FROM jsonb_array_elements(p_runs) WITH ORDINALITY AS e;
    -- Lock order: the subject, the key, then as everywhere.
    IF p_limit IS NOT NULL THEN
        SELECT u.used, u.seconds, u.moment, u.newest INTO v_used, seconds, v_moment, v_newest
        FROM relayrun_used(p_subject, p_window) AS u;
        remaining := greatest(p_limit - v_used, 0);
    END IF;
    IF p_key IS NOT NULL THEN
        -- Waits for whoever uses the same key just now.
        INSERT INTO idempotency_keys AS k (owner, key, fingerprint, run_id, run_ids)
        VALUES (p_key_owner, p_key, p_fingerprint, runs[1], runs)
        ON CONFLICT (owner, key) DO UPDATE
        SET fingerprint = EXCLUDED.fingerprint, run_id = EXCLUDED.run_id, run_ids = EXCLUDED.run_ids,
            created_at = now()
        WHERE k.created_at <= now() - interval '24 hours' OR k.run_id = EXCLUDED.run_id;
        IF NOT FOUND THEN
            SELECT CASE WHEN k.fingerprint = p_fingerprint THEN 'Replayed' ELSE 'KeyReused' END,
                   coalesce(k.run_ids, ARRAY[k.run_id])
            INTO answer, runs FROM idempotency_keys k WHERE k.owner = p_key_owner AND k.key = p_key;
            RETURN;
        END IF;
    END IF;
    answer := 'Created';
    IF EXISTS (SELECT 1 FROM runs r WHERE r.run_id = runs[1]) THEN
        RETURN;                                                 -- told twice: the first answer was lost
    END IF;
    IF p_limit IS NOT NULL AND v_used + v_count > p_limit THEN
        answer := 'RateLimited';
        -- So many of the newest may stay in the window.
        SELECT extract(epoch FROM s.started_at + p_window - v_moment) INTO seconds FROM run_starts s
        WHERE s.subject = p_subject AND s.number = v_newest - p_limit + v_count
        ORDER BY s.started_at DESC LIMIT 1;
    ELSE
        BEGIN
            FOR v_run IN
                SELECT * FROM jsonb_to_recordset(p_runs) AS e (
                    run uuid, thread uuid, owner text, name text, thread_metadata jsonb, agent text, graph text,
                    assistant uuid, spec jsonb, "create" boolean, not_interrupted boolean, object jsonb,
                    delay_seconds double precision, peers text[])
            LOOP
                answer := relayrun_create_run_v2(
                    v_run.run, v_run.thread, v_run.owner, v_run.name, v_run.thread_metadata, v_run.agent, v_run.graph,
                    v_run.assistant, v_run.spec, v_run."create", v_run.not_interrupted, v_run.object,
                    make_interval(secs => v_run.delay_seconds), v_run.peers);
                IF answer <> 'Created' THEN
                    RAISE EXCEPTION 'refused' USING ERRCODE = 'RR002';
                END IF;
            END LOOP;
        EXCEPTION WHEN SQLSTATE 'RR002' THEN
            NULL;                                               -- those before it are not accepted either
        END;
    END IF;
    IF answer <> 'Created' THEN
        DELETE FROM idempotency_keys WHERE owner = p_key_owner AND key = p_key;
    ELSIF p_limit IS NOT NULL THEN
        INSERT INTO run_starts (subject, started_at, number)
        SELECT p_subject, v_moment + make_interval(secs => (n - 1) / 1e6), v_newest + n
        FROM generate_series(1, v_count) AS n;
        remaining := p_limit - v_used - v_count;
    END IF;
END $$;

-- Puts a delayed run whose time has come at the end of its thread's line. Answers LinedUp; Cancelled, when a later run
-- displaced it meanwhile; NotYet, also when somebody else was quicker.
CREATE FUNCTION relayrun_line_up(p_run uuid) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
    v_thread uuid;
    v_number integer;
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    PERFORM pg_advisory_xact_lock(relayrun_lock_key(p_run));
    SELECT thread_id INTO v_thread FROM runs WHERE run_id = p_run;
    PERFORM 1 FROM threads WHERE thread_id = v_thread FOR UPDATE;
    SELECT * INTO v_run FROM runs
    WHERE run_id = p_run AND status = 'delayed' AND coalesce(cancel_requested_at, created_at) <= clock_timestamp()
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'NotYet';
    END IF;
    IF v_run.cancel_requested_at IS NOT NULL THEN
        PERFORM relayrun_end(p_run, v_run.attempt + 1, 'cancelled', 'Cancelled', 'the run was cancelled');
        RETURN 'Cancelled';
    END IF;
    UPDATE threads SET run_count = run_count + 1, status = 'busy', graph = v_run.graph, agent = v_run.agent,
        updated_at = now()
    WHERE thread_id = v_thread RETURNING run_count INTO v_number;
    UPDATE runs SET status = 'pending', seq = DEFAULT, number = v_number, updated_at = now() WHERE run_id = p_run;
    RETURN 'LinedUp';
END $$;

-- ===== claiming: Claiming a run for an attempt, and giving it back.

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

-- ===== ending: How runs end: finished by their attempt, from outside, by a cancel with or without a rollback, or with their thread.

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

-- ===== webhooks: The outbox of webhooks: ends of runs that somebody wants to hear of.

-- A row is there from the transaction that ended its run until the receiver has accepted it. It has all that is sent:
-- run and thread may be deleted before.
CREATE TABLE webhooks (
    run_id               uuid NOT NULL,
    url                  text NOT NULL,
    host                 text NOT NULL,                                                                        -- with the port, where the URL has one
    run                  jsonb NOT NULL,                                                                       -- the row of `runs`
    values               jsonb,                                                                                -- the thread's, as the run left them
    interrupts           jsonb NOT NULL,
    tries                integer NOT NULL DEFAULT 0,
    next_try             timestamptz NOT NULL DEFAULT now(),
    problem              text,                                                                                 -- why the last try failed
    created_at           timestamptz NOT NULL DEFAULT now(),
    failed_at            timestamptz,                                                                          -- given up
    owner                text NOT NULL GENERATED ALWAYS AS (COALESCE(run ->> 'owner'::text, ''::text)) STORED, -- '': nobody
    push                 jsonb,                                                                                -- NULL: of a run's `webhook`; else a receiver's `config`
    CONSTRAINT webhooks_pkey PRIMARY KEY (run_id)
);
CREATE INDEX webhooks_due ON webhooks (next_try) WHERE failed_at IS NULL;
CREATE INDEX webhooks_failed ON webhooks (failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX webhooks_by_owner ON webhooks (owner, next_try) WHERE failed_at IS NULL;

-- Adds an ended run to the outbox: the receiver gets what a client who waits gets.
CREATE FUNCTION relayrun_note_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhooks (run_id, url, host, run, values, interrupts)
    SELECT NEW.run_id, NEW.spec ->> 'webhook',
        coalesce(lower(substring(NEW.spec ->> 'webhook' FROM '^[A-Za-z]+://([^/?#]*)')), ''),
        to_jsonb(NEW), relayrun_output_values(t.values, t.output_keys), t.interrupts
    FROM threads t WHERE t.thread_id = NEW.thread_id
    ON CONFLICT (run_id) DO NOTHING;
    RETURN NULL;
END $$;

-- For every way in which a run ends. Deferred to the end of that transaction, because the thread gets its values after
-- the run's end.
CREATE CONSTRAINT TRIGGER runs_webhook AFTER UPDATE OF status ON runs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND NEW.spec ->> 'webhook' IS NOT NULL)
    EXECUTE FUNCTION relayrun_note_webhook();

-- Takes what is due, for this caller alone for a while: at most `p_limit`, the first of each owner before the second of
-- any, so that nobody's webhooks wait behind all of somebody else's. `p_busy` has by owner how many of theirs are
-- `under_way` at the caller, whose turn comes so much later, and the `hosts` that none of theirs goes to now; each has
-- at most `p_each` under way. Nothing goes to `p_hosts`.
CREATE FUNCTION relayrun_take_webhooks(
    p_taken_for interval, p_limit integer, p_each integer, p_busy jsonb, p_hosts text[]
) RETURNS SETOF webhooks LANGUAGE sql AS $$
    WITH RECURSIVE owners AS (
        (SELECT w.owner FROM webhooks w WHERE w.failed_at IS NULL ORDER BY w.owner LIMIT 1)
        UNION ALL
        -- One step in the index for each owner, however many rows it has.
        SELECT (SELECT w.owner FROM webhooks w WHERE w.failed_at IS NULL AND w.owner > o.owner ORDER BY w.owner LIMIT 1)
        FROM owners o WHERE o.owner IS NOT NULL
    ), candidates AS (
        SELECT o.owner, coalesce((p_busy -> o.owner ->> 'under_way')::integer, 0) AS under_way,
            coalesce(p_busy -> o.owner -> 'hosts', '[]') || to_jsonb(p_hosts) AS hosts
        FROM owners o WHERE o.owner IS NOT NULL
    ), first AS (
        SELECT c.* FROM candidates c
        CROSS JOIN LATERAL (
            SELECT w.next_try FROM webhooks w
            WHERE w.owner = c.owner AND w.failed_at IS NULL AND w.next_try <= now() AND NOT c.hosts ? w.host
            ORDER BY w.next_try LIMIT 1
        ) AS head
        WHERE c.under_way < p_each
        -- More than are taken: another replica may have these rows by now.
        ORDER BY c.under_way, head.next_try LIMIT 4 * p_limit
    ), due AS (
        SELECT l.run_id, l.next_try, f.under_way + row_number() OVER (PARTITION BY f.owner ORDER BY l.next_try) AS turn
        FROM first f
        CROSS JOIN LATERAL (
            SELECT w.run_id, w.next_try FROM webhooks w
            WHERE w.owner = f.owner AND w.failed_at IS NULL AND w.next_try <= now() AND NOT f.hosts ? w.host
            ORDER BY w.next_try LIMIT least(p_limit, p_each - f.under_way) FOR UPDATE SKIP LOCKED
        ) AS l
    ), taken AS (
        SELECT run_id FROM due ORDER BY turn, next_try LIMIT p_limit
    )
    UPDATE webhooks w SET next_try = now() + p_taken_for, tries = tries + 1
    FROM taken WHERE w.run_id = taken.run_id RETURNING w.*
$$;

-- ===== assistants: Assistants, and what runners report of their agents.

-- Assistants that owners make, and what admins change of the graphs' default ones. Every change is a new version.
CREATE TABLE assistants (
    assistant_id         uuid NOT NULL,
    owner                text,
    agent                text NOT NULL,
    graph                text NOT NULL,
    name                 text NOT NULL,
    description          text,
    config               jsonb NOT NULL DEFAULT '{}',
    context              jsonb NOT NULL DEFAULT '{}',
    metadata             jsonb NOT NULL DEFAULT '{}',
    version              integer NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    newest               integer NOT NULL DEFAULT 1,     -- the highest version number that was given
    is_default           boolean NOT NULL DEFAULT false, -- a graph's own: everybody's, for as long as its graph
    by_agent             boolean NOT NULL DEFAULT false, -- made of `agent/graph`
    CONSTRAINT assistants_pkey PRIMARY KEY (assistant_id)
);
CREATE INDEX assistants_owner ON assistants (owner, created_at DESC);
CREATE INDEX assistants_metadata ON assistants USING gin (metadata jsonb_path_ops);

CREATE TABLE assistant_versions (
    assistant_id         uuid NOT NULL,
    version              integer NOT NULL,
    graph                text NOT NULL,
    name                 text NOT NULL,
    description          text,
    config               jsonb NOT NULL,
    context              jsonb NOT NULL,
    metadata             jsonb NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT now(),
    agent                text NOT NULL,
    by_agent             boolean NOT NULL DEFAULT false, -- made of `agent/graph`
    CONSTRAINT assistant_versions_pkey PRIMARY KEY (assistant_id, version),
    CONSTRAINT assistant_versions_assistant_id_fkey FOREIGN KEY (assistant_id) REFERENCES assistants(assistant_id) ON DELETE CASCADE
);

-- The graphs that runners found in their agent's code.
CREATE TABLE graphs (
    agent                text NOT NULL,
    graph                text NOT NULL,
    build                text NOT NULL,
    description          text,
    schemas              jsonb NOT NULL DEFAULT '{}', -- input, output, state, config, context
    drawing              jsonb NOT NULL DEFAULT '{}',
    registered_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT graphs_pkey PRIMARY KEY (agent, graph, build)
);

-- Which agents embed what goes into the store: through the runners of another agent, nothing is found by its meaning.
CREATE TABLE agent_stores (
    agent                text NOT NULL,
    indexed              boolean NOT NULL, -- its langgraph.json has store.index
    registered_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT agent_stores_pkey PRIMARY KEY (agent)
);

-- What runners got when they asked their agents' language models for a list of models.
CREATE TABLE llm_reports (
    holder               uuid NOT NULL,        -- the runner process
    endpoint             text NOT NULL,        -- what the runner calls it; no key is in it
    agent                text NOT NULL,
    status               text NOT NULL,
    reason               text,                 -- why it is down: a sentence, without a key
    checked_at           timestamptz NOT NULL DEFAULT now(),
    good_until           timestamptz NOT NULL, -- then its runner is gone, or would have reported again
    CONSTRAINT llm_reports_pkey PRIMARY KEY (holder, endpoint),
    CONSTRAINT llm_reports_status_check CHECK (status = ANY (ARRAY['ok'::text, 'down'::text]))
);

-- ===== crons: Crons: runs that start by the clock.

-- Whoever fires one moves `next_run_at` on in the transaction that accepts its run.
CREATE TABLE crons (
    cron_id              uuid NOT NULL,
    owner                text,                           -- NULL: admins only
    as_admin             boolean NOT NULL DEFAULT false, -- its maker might use anybody's assistant
    assistant_id         uuid NOT NULL,                  -- no reference: a graph's own assistant has no row
    thread_id            uuid,                           -- NULL: a new thread for each run
    schedule             text NOT NULL,
    timezone             text,                           -- NULL: UTC
    payload              json NOT NULL,                  -- the run's body as accepted; json keeps numbers as they are
    metadata             jsonb NOT NULL DEFAULT '{}',    -- the payload's, to search by
    on_run_completed     text,
    end_time             timestamptz,
    enabled              boolean NOT NULL DEFAULT true,
    next_run_at          timestamptz,                    -- NULL: disabled, or past its end
    last_run_at          timestamptz,
    last_run_id          uuid,                           -- no reference: the run may be deleted
    refusal              text,                           -- why it started no run the last time
    revision             bigint NOT NULL DEFAULT 1,      -- grows with each change and each time it fires
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    made_by              jsonb,                          -- the user of an author's own authentication that made it
    runs_as              text,                           -- the identity that last said what it runs; NULL too: unknown
    assistant_version    integer,                        -- of somebody else's assistant; NULL: the newest
    agent                text,                           -- NULL: whoever has the name when it fires
    CONSTRAINT crons_pkey PRIMARY KEY (cron_id),
    CONSTRAINT crons_thread_id_fkey FOREIGN KEY (thread_id) REFERENCES threads(thread_id) ON DELETE CASCADE,
    CONSTRAINT crons_on_run_completed_check CHECK (on_run_completed = ANY (ARRAY['delete'::text, 'keep'::text]))
);
CREATE INDEX crons_due ON crons (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX crons_owner ON crons (coalesce(owner, ''), created_at);
CREATE INDEX crons_thread ON crons (thread_id) WHERE thread_id IS NOT NULL;

-- ===== api_keys: API keys.

CREATE TABLE api_keys (
    key_id               text NOT NULL,  -- the key's first characters: what people call it
    hash                 bytea NOT NULL, -- SHA-256 of the whole key, which is 32 random bytes
    owner                text NOT NULL,
    admin                boolean NOT NULL DEFAULT false,
    name                 text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    last_used_at         timestamptz,    -- to the hour
    expires_at           timestamptz,
    revoked_at           timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT api_keys_hash_key UNIQUE (hash),
    CONSTRAINT api_keys_owner_check CHECK (owner <> ''::text)
);

-- ===== agentrun_identities: AgentRuns that were there before: GitOps tools make an AgentRun again that was deleted, and it must not run again.

-- Each namespace, name and spec of an AgentRun is executed once, whatever UID its object has. Threads and runs are
-- deleted earlier than these rows.
CREATE TABLE agentrun_identities (
    namespace            text NOT NULL,
    name                 text NOT NULL,
    spec_hash            text NOT NULL,                      -- of what is executed, and of the annotation that asks to
    run_id               uuid NOT NULL,                      -- the run that was, or will be, executed
    reason               text,                               -- how it ended; NULL as long as `runs` says so
    seen_at              timestamptz NOT NULL DEFAULT now(), -- when an AgentRun of this identity came last
    CONSTRAINT agentrun_identities_pkey PRIMARY KEY (namespace, name, spec_hash)
);
CREATE INDEX agentrun_identities_run ON agentrun_identities (run_id);
CREATE INDEX agentrun_identities_seen ON agentrun_identities (seen_at);

-- Keeps how a run ended where its AgentRun may come again.
CREATE FUNCTION relayrun_keep_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agentrun_identities SET reason = coalesce(OLD.reason, 'Cancelled') WHERE run_id = OLD.run_id;
    RETURN NULL;
END $$;
CREATE TRIGGER runs_identity AFTER DELETE ON runs FOR EACH ROW EXECUTE FUNCTION relayrun_keep_identity();

-- ===== traffic: Agents that share their graphs' names by weight: a thread stays with the one that it last ran on.

-- Accepts a run as `relayrun_create_run` does. `p_peers` are the agents that share the graph's name, NULL for none: a
-- thread that last ran on one of them stays there, else it is `p_agent` that gets the run.
CREATE FUNCTION relayrun_create_run_v2(
    p_run uuid, p_thread uuid, p_owner text, p_name text, p_thread_metadata jsonb, p_agent text, p_graph text,
    p_assistant uuid, p_spec jsonb, p_create_thread boolean, p_require_not_interrupted boolean, p_object jsonb,
    p_delay interval, p_peers text[]
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_agent text := p_agent;
    v_last text;
BEGIN
    IF p_peers IS NOT NULL THEN
        SELECT agent INTO v_last FROM threads WHERE thread_id = p_thread FOR UPDATE;
        IF NOT FOUND THEN
            -- There is no row to lock yet: of two first runs the second waits here, and sees the first one's.
            PERFORM pg_advisory_xact_lock(hashtextextended(p_thread::text, 7263));
            SELECT agent INTO v_last FROM threads WHERE thread_id = p_thread;
        END IF;
        IF v_last = ANY (p_peers) THEN
            v_agent := v_last;
        END IF;
    END IF;
    RETURN relayrun_create_run(
        p_run, p_thread, p_owner, p_name, p_thread_metadata, v_agent, p_graph, p_assistant, p_spec, p_create_thread,
        p_require_not_interrupted, p_object, p_delay);
END $$;

-- ===== run_search: Finding runs across threads. A search walks one of these indexes, newest first, whoever owns how many runs.

CREATE INDEX runs_created ON runs (created_at DESC, run_id DESC);
CREATE INDEX runs_owner_created ON runs (owner, created_at DESC, run_id DESC);
CREATE INDEX runs_graph_created ON runs (graph, created_at DESC, run_id DESC);

-- Most runs succeed. What people look for is the rest; unfinished runs have indexes of their own.
CREATE INDEX runs_status_created ON runs (status, created_at DESC, run_id DESC)
    WHERE status IN ('interrupted', 'error', 'timeout', 'cancelled');

-- ===== run_logs: What author code prints and logs while a run executes.

-- Lines of one attempt, a batch a row. No state: they are written outside the fence, and name their attempt.
CREATE TABLE run_logs (
    run_id               uuid NOT NULL,
    attempt              integer NOT NULL,
    first                integer NOT NULL, -- the number of the first line, from 1 in each attempt
    last                 integer NOT NULL,
    lines                text NOT NULL,    -- a JSON array; each line has its number as `n`
    created_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT run_logs_pkey PRIMARY KEY (run_id, attempt, first),
    CONSTRAINT run_logs_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(run_id) ON DELETE CASCADE
);

-- ===== revisions: Revisions: which template the runner of a run was made from. An open thread may have to go on under the one that it began with.

CREATE INDEX threads_revision ON threads (agent, revision) WHERE revision IS NOT NULL;

-- A thread that has come to an end, or went to another agent, is free.
CREATE FUNCTION relayrun_free_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER threads_free_revision BEFORE UPDATE OF status, agent ON threads FOR EACH ROW
WHEN (OLD.revision IS NOT NULL AND (NEW.status IN ('idle', 'error') OR NEW.agent IS DISTINCT FROM OLD.agent))
EXECUTE FUNCTION relayrun_free_revision();

-- A run goes on where its open thread is.
CREATE FUNCTION relayrun_inherit_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT t.revision INTO NEW.revision FROM threads t
    WHERE t.thread_id = NEW.thread_id AND t.agent = NEW.agent AND t.revision IS NOT NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_inherit_revision BEFORE INSERT OR UPDATE OF status ON runs FOR EACH ROW
WHEN (NEW.status = 'pending' AND NEW.revision IS NULL)
EXECUTE FUNCTION relayrun_inherit_revision();

-- Claims a run as `relayrun_claim` does, for a runner of this revision (NULL: it has none). `p_pinned`: only if the run
-- and its thread have begun nowhere else; otherwise it answers WrongRevision, with the {revision} of both.
CREATE FUNCTION relayrun_claim_v2(
    p_run uuid, p_attempt integer, p_holder uuid, p_runner text, p_excused boolean, p_alone boolean, p_announce boolean,
    p_revision text, p_pinned boolean, OUT answer text, OUT detail jsonb, OUT run runs
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_began text;
BEGIN
    IF p_pinned THEN
        SELECT coalesce(r.revision, CASE WHEN t.agent = r.agent THEN t.revision END) INTO v_began
        FROM runs r JOIN threads t ON t.thread_id = r.thread_id
        WHERE r.run_id = p_run AND r.status IN ('pending', 'running') AND r.cancel_requested_at IS NULL;
        IF v_began <> p_revision THEN
            answer := 'WrongRevision';
            detail := jsonb_build_object('revision', v_began);
            SELECT * INTO run FROM runs WHERE run_id = p_run;
            RETURN;
        END IF;
    END IF;
    SELECT c.answer, c.detail INTO answer, detail
    FROM relayrun_claim(p_run, p_attempt, p_holder, p_runner, p_excused, p_alone, p_announce) AS c;
    IF answer = 'Claimed' AND p_revision IS NOT NULL THEN
        UPDATE runs SET revision = p_revision WHERE run_id = p_run AND revision IS DISTINCT FROM p_revision;
        UPDATE threads t SET revision = p_revision FROM runs r
        WHERE r.run_id = p_run AND t.thread_id = r.thread_id AND t.agent = r.agent
          AND t.revision IS DISTINCT FROM p_revision;
    END IF;
    SELECT * INTO run FROM runs WHERE run_id = p_run;        -- a statement of its own: it sees what the claim did
END $$;

-- ===== a2a: A2A tasks: who is told of their ends, and which were given up while they waited for an answer. A task is a run, and the runs after it whose metadata has its id as `a2a_task_id`.

-- Receivers of a task's push notifications.
CREATE TABLE a2a_receivers (
    task_id              uuid NOT NULL,
    receiver_id          text NOT NULL,
    url                  text NOT NULL,
    config               jsonb NOT NULL, -- as it was sent, and how it is to be told
    created_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT a2a_receivers_pkey PRIMARY KEY (task_id, receiver_id),
    CONSTRAINT a2a_receivers_task_id_fkey FOREIGN KEY (task_id) REFERENCES runs(run_id) ON DELETE CASCADE
);

-- Tasks that were cancelled while they waited for an answer: their runs had ended.
CREATE TABLE a2a_canceled (
    task_id              uuid NOT NULL,
    canceled_at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT a2a_canceled_pkey PRIMARY KEY (task_id),
    CONSTRAINT a2a_canceled_task_id_fkey FOREIGN KEY (task_id) REFERENCES runs(run_id) ON DELETE CASCADE
);

-- Adds an ended run to the outbox for each of the task's receivers, once.
CREATE FUNCTION relayrun_push(p_run runs, p_receiver text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhooks (run_id, url, host, run, values, interrupts, push)
    SELECT md5(p_run.run_id::text || ' ' || c.receiver_id)::uuid, c.url,
        coalesce(lower(substring(c.url FROM '^[A-Za-z]+://([^/?#]*)')), ''),
        to_jsonb(p_run), NULL, t.interrupts, c.config
    FROM a2a_receivers c
    JOIN runs first ON first.run_id = c.task_id
    JOIN threads t ON t.thread_id = first.thread_id
    -- Whatever a run's metadata says: only of its own thread.
    WHERE t.thread_id = p_run.thread_id AND (p_receiver IS NULL OR c.receiver_id = p_receiver)
        AND c.task_id::text = coalesce(p_run.spec #>> '{metadata,a2a_task_id}', p_run.run_id::text)
    ON CONFLICT (run_id) DO NOTHING;
$$;
CREATE FUNCTION relayrun_note_push() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM relayrun_push(NEW, NULL);
    RETURN NULL;
END $$;

-- Deferred as that of webhooks is. A2A's messages mark their runs, so that others pay nothing.
CREATE CONSTRAINT TRIGGER runs_push AFTER UPDATE OF status ON runs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
        AND NEW.spec #> '{metadata,a2a_message_id}' IS NOT NULL)
    EXECUTE FUNCTION relayrun_note_push();

-- Adds a receiver to a task or changes it, at most `p_most` of a task; one of a task whose newest run has ended is told
-- now. Answers whether it was taken.
CREATE FUNCTION relayrun_add_receiver(
    p_task uuid, p_newest uuid, p_receiver text, p_url text, p_config jsonb, p_most integer
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_run runs;
BEGIN
    -- Whoever ends the run has this lock or waits for it, so that one of the two sees the other.
    PERFORM 1 FROM threads t JOIN runs r USING (thread_id) WHERE r.run_id = p_task FOR UPDATE OF t;
    IF (SELECT count(*) FROM a2a_receivers WHERE task_id = p_task AND receiver_id <> p_receiver) >= p_most THEN
        RETURN false;
    END IF;
    INSERT INTO a2a_receivers (task_id, receiver_id, url, config) VALUES (p_task, p_receiver, p_url, p_config)
    ON CONFLICT (task_id, receiver_id) DO UPDATE SET url = EXCLUDED.url, config = EXCLUDED.config;
    SELECT * INTO v_run FROM runs WHERE run_id = p_newest AND finished_at IS NOT NULL;
    IF FOUND THEN
        PERFORM relayrun_push(v_run, p_receiver);
    END IF;
    RETURN true;
END $$;
