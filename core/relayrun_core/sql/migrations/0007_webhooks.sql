-- The outbox of webhooks: ends of runs that somebody wants to hear of.

-- A row is there from the transaction that ended its run until the receiver has accepted it. It has all that is sent:
-- run and thread may be deleted before.
CREATE TABLE webhooks (
    run_id           uuid PRIMARY KEY,
    url              text NOT NULL,
    host             text NOT NULL,                             -- with the port, where the URL has one
    run              jsonb NOT NULL,                            -- the row of `runs`
    values           jsonb,                                     -- the thread's, as the run left them
    interrupts       jsonb NOT NULL,
    tries            integer NOT NULL DEFAULT 0,
    next_try         timestamptz NOT NULL DEFAULT now(),
    problem          text,                                      -- why the last try failed
    created_at       timestamptz NOT NULL DEFAULT now(),
    failed_at        timestamptz,                               -- given up
    owner            text NOT NULL GENERATED ALWAYS AS (coalesce(run ->> 'owner', '')) STORED -- '': nobody
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
