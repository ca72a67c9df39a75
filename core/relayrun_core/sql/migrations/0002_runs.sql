-- Runs, their attempts, their journal and their outcomes.

CREATE TABLE runs (
    run_id               uuid PRIMARY KEY,
    seq                  bigint GENERATED ALWAYS AS IDENTITY,   -- the order of runs: the database's, not a clock's
    thread_id            uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    number               integer NOT NULL,                      -- the n-th run of its thread; 0 while it is delayed
    owner                text,
    agent                text NOT NULL,
    graph                text NOT NULL,
    assistant_id         uuid,
    status               text NOT NULL DEFAULT 'pending' CHECK (status IN
                             ('delayed', 'pending', 'running', 'success', 'interrupted', 'error', 'timeout', 'cancelled')),
    reason               text,
    message              text,
    spec                 jsonb NOT NULL,
    attempt              integer NOT NULL DEFAULT 0,            -- the fencing token: only grows
    holder               uuid,                                  -- the runner process that has the attempt
    runner               text,
    progress             bigint NOT NULL DEFAULT 0,             -- grows with each new checkpoint or task that succeeded
    progress_at_claim    bigint NOT NULL DEFAULT 0,
    failed_attempts      integer NOT NULL DEFAULT 0,            -- attempts without progress
    suspect              boolean NOT NULL DEFAULT false,        -- died without progress in company: next placed alone
    not_before           timestamptz,                           -- backing off until then
    cancel_requested_at  timestamptz,
    cancel_action        text CHECK (cancel_action IN ('interrupt', 'rollback')),
    base                 jsonb,                                 -- what a rollback goes back to: {checkpoint_id, high_water}
    dispatched_at        timestamptz,                           -- its AgentRun was created
    error                jsonb,
    checkpoint_id        text,
    created_at           timestamptz NOT NULL DEFAULT now(),    -- of a delayed run: when it starts
    updated_at           timestamptz NOT NULL DEFAULT now(),
    started_at           timestamptz,
    finished_at          timestamptz,
    object               jsonb,                                 -- the AgentRun of a run by kubectl: {namespace, name, uid}
    cluster              text,                                  -- UIDs of namespace and kind that its AgentRun was made in
    look_after           timestamptz,                           -- the reconciler leaves it alone until then
    refusals             integer NOT NULL DEFAULT 0,            -- how often the API server refused its AgentRun
    refusal              text                                   -- why, in the API server's own words
) WITH (fillfactor = 60);                                       -- room for the hot updates of `progress`
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
    run_id           uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    attempt          integer NOT NULL,
    holder           uuid NOT NULL,
    runner           text NOT NULL,
    claimed_at       timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    ending           text CHECK (ending IN ('Finished', 'Drained', 'Lost')),
    PRIMARY KEY (run_id, attempt)
);
CREATE INDEX run_attempts_holder ON run_attempts (holder);

-- Pending writes that a rollback restores; most runs have none.
CREATE TABLE run_base_writes (
    run_id           uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    thread_id        text NOT NULL,
    checkpoint_ns    text NOT NULL,
    checkpoint_id    text NOT NULL,
    task_id          text NOT NULL,
    idx              integer NOT NULL,
    channel          text NOT NULL,
    type             text,
    blob             bytea NOT NULL,
    task_path        text NOT NULL DEFAULT ''
);
CREATE INDEX run_base_writes_run ON run_base_writes (run_id);

-- What attempts after the first did in namespaces that were new to them, since the root last advanced. An attempt that
-- cannot go on from what was there does it all anew under other names: only one that does more is any further.
CREATE TABLE run_anew (
    run_id           uuid PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    attempt          integer NOT NULL,
    newest           text,                                      -- the thread's newest checkpoint before the attempt
    done             bigint NOT NULL,                           -- by the attempt
    most             bigint NOT NULL                            -- by one of those before it
);

-- The journal. seq = attempt · 2^32 + n.
CREATE TABLE run_events (
    run_id           uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    seq              bigint NOT NULL,
    event            text NOT NULL,
    data             text NOT NULL,                             -- JSON as it goes out
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, seq)
);

-- A run's own outcome: the thread's row is that of its last run. It is deleted with the run's journal.
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

-- How far old rows have been deleted, so that nobody looks through them again. Whoever deletes some has locked the row.
CREATE TABLE tidied (
    rows_of          text PRIMARY KEY,                          -- a table
    finished_at      timestamptz NOT NULL,                      -- of the run behind which there is more
    run_id           uuid NOT NULL
);
INSERT INTO tidied VALUES ('run_events', 'epoch', '00000000-0000-0000-0000-000000000000');

-- Runs that were deleted with their thread while they were unfinished. Their AgentRun, which has the payload, may be
-- given to a runner once more, and must not create run and thread again.
CREATE TABLE deleted_runs (
    run_id           uuid PRIMARY KEY,
    deleted_at       timestamptz NOT NULL DEFAULT now()
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
