-- AgentRuns that were there before: GitOps tools make an AgentRun again that was deleted, and it must not run again.

-- Each namespace, name and spec of an AgentRun is executed once, whatever UID its object has. Threads and runs are
-- deleted earlier than these rows.
CREATE TABLE agentrun_identities (
    namespace        text NOT NULL,
    name             text NOT NULL,
    spec_hash        text NOT NULL,                             -- of what is executed, and of the annotation that asks to
    run_id           uuid NOT NULL,                             -- the run that was, or will be, executed
    reason           text,                                      -- how it ended; NULL as long as `runs` says so
    seen_at          timestamptz NOT NULL DEFAULT now(),        -- when an AgentRun of this identity came last
    PRIMARY KEY (namespace, name, spec_hash)
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
