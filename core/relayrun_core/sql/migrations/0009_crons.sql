-- Crons: runs that start by the clock.

-- Whoever fires one moves `next_run_at` on in the transaction that accepts its run.
CREATE TABLE crons (
    cron_id          uuid PRIMARY KEY,
    owner            text,                                      -- NULL: admins only
    as_admin         boolean NOT NULL DEFAULT false,            -- its maker might use anybody's assistant
    assistant_id     uuid NOT NULL,                             -- no reference: a graph's own assistant has no row
    thread_id        uuid REFERENCES threads ON DELETE CASCADE, -- NULL: a new thread for each run
    schedule         text NOT NULL,
    timezone         text,                                      -- NULL: UTC
    payload          json NOT NULL,                             -- the run's body as accepted; json keeps numbers as they are
    metadata         jsonb NOT NULL DEFAULT '{}',               -- the payload's, to search by
    on_run_completed text CHECK (on_run_completed IN ('delete', 'keep')),
    end_time         timestamptz,
    enabled          boolean NOT NULL DEFAULT true,
    next_run_at      timestamptz,                               -- NULL: disabled, or past its end
    last_run_at      timestamptz,
    last_run_id      uuid,                                      -- no reference: the run may be deleted
    refusal          text,                                      -- why it started no run the last time
    revision         bigint NOT NULL DEFAULT 1,                 -- grows with each change and each time it fires
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    made_by          jsonb,                                     -- the user of an author's own authentication that made it
    runs_as          text,                                      -- the identity that last said what it runs; NULL too: unknown
    assistant_version integer                                   -- of somebody else's assistant; NULL: the newest
);
CREATE INDEX crons_due ON crons (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX crons_owner ON crons (coalesce(owner, ''), created_at);
CREATE INDEX crons_thread ON crons (thread_id) WHERE thread_id IS NOT NULL;
