-- Webhooks are told in turn by owner: nobody's wait behind all of somebody else's.

-- '' where nobody owns. A generated column, so that the trigger of every version writes it.
ALTER TABLE webhooks ADD COLUMN owner text NOT NULL GENERATED ALWAYS AS (coalesce(run ->> 'owner', '')) STORED;
CREATE INDEX webhooks_by_owner ON webhooks (owner, next_try) WHERE failed_at IS NULL;

-- What is due, for this caller alone for a while: at most `p_limit`, the first of each owner before the second of any.
-- `p_busy` has by owner how many of theirs are `under_way` at the caller, whose turn comes so much later, and the `hosts`
-- that none of theirs goes to now; each has at most `p_each` under way. Nothing goes to `p_hosts`.
CREATE FUNCTION relayrun_take_webhooks_v1(
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
