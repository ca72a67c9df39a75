-- Threads, runs, their attempts and their journal. LangGraph's own tables stand beside these.

CREATE TABLE threads (
    thread_id        uuid PRIMARY KEY,
    owner            text,                                  -- NULL: admins only
    name             text,                                  -- what its owner calls it
    metadata         jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'busy', 'interrupted', 'error')),
    values           jsonb,                                 -- as of the last finish
    interrupts       jsonb NOT NULL DEFAULT '[]',           -- [{id, value, task_id, answered}] as of the last finish
    error            jsonb,
    graph            text,                                  -- of the last run
    agent            text,
    run_count        integer NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX threads_owner ON threads (owner, updated_at DESC);
CREATE INDEX threads_metadata ON threads USING gin (metadata jsonb_path_ops);

CREATE TABLE assistants (
    assistant_id     uuid PRIMARY KEY,
    owner            text,
    agent            text NOT NULL,
    graph            text NOT NULL,
    name             text NOT NULL,
    description      text,
    config           jsonb NOT NULL DEFAULT '{}',
    context          jsonb NOT NULL DEFAULT '{}',
    metadata         jsonb NOT NULL DEFAULT '{}',
    version          integer NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE assistant_versions (
    assistant_id     uuid NOT NULL REFERENCES assistants ON DELETE CASCADE,
    version          integer NOT NULL,
    graph            text NOT NULL,
    name             text NOT NULL,
    description      text,
    config           jsonb NOT NULL,
    context          jsonb NOT NULL,
    metadata         jsonb NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (assistant_id, version)
);

CREATE TABLE runs (
    run_id               uuid PRIMARY KEY,
    seq                  bigint GENERATED ALWAYS AS IDENTITY,   -- the order of runs: the database's, not a clock's
    thread_id            uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    number               integer NOT NULL,                      -- the n-th run of its thread
    owner                text,
    agent                text NOT NULL,
    graph                text NOT NULL,
    assistant_id         uuid,
    status               text NOT NULL DEFAULT 'pending' CHECK (status IN
                             ('pending', 'running', 'success', 'interrupted', 'error', 'timeout', 'cancelled')),
    reason               text,
    message              text,
    spec                 jsonb NOT NULL,
    attempt              integer NOT NULL DEFAULT 0,            -- the fencing token: only grows
    holder               uuid,                                  -- the runner process that has the attempt
    runner               text,
    progress             bigint NOT NULL DEFAULT 0,             -- advanced by each fenced write
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
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    started_at           timestamptz,
    finished_at          timestamptz
) WITH (fillfactor = 60);                                       -- room for the hot updates of `progress`
CREATE UNIQUE INDEX runs_one_running_a_thread ON runs (thread_id) WHERE status = 'running';
CREATE INDEX runs_unfinished ON runs (thread_id, seq) WHERE status IN ('pending', 'running');
CREATE INDEX runs_thread ON runs (thread_id, seq DESC);
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;

-- One row an attempt: who tried, and how the try ended. Tells whether a run died in company.
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

-- The journal. seq = attempt · 2^32 + n.
CREATE TABLE run_events (
    run_id           uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    seq              bigint NOT NULL,
    event            text NOT NULL,
    data             text NOT NULL,                             -- JSON as it goes out
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, seq)
);

-- What runners found in their agent's code.
CREATE TABLE graphs (
    agent            text NOT NULL,
    graph            text NOT NULL,
    build            text NOT NULL,
    description      text,
    schemas          jsonb NOT NULL DEFAULT '{}',               -- input, output, state, config, context
    drawing          jsonb NOT NULL DEFAULT '{}',
    registered_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent, graph, build)
);
