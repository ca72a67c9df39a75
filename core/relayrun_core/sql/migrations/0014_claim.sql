-- A claim in one statement, and the attempt's first event with it: the claim is on the way to what a client sees first.

-- As `relayrun_claim_v1`, with the run as it is then (NULL: there is none). `p_announce`: an attempt that is claimed
-- begins its journal in the same transaction.
CREATE FUNCTION relayrun_claim_v2(
    p_run uuid, p_attempt integer, p_holder uuid, p_runner text, p_excused boolean, p_alone boolean, p_announce boolean,
    OUT answer text, OUT detail jsonb, OUT run runs
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT c.answer, c.detail INTO answer, detail
    FROM relayrun_claim_v1(p_run, p_attempt, p_holder, p_runner, p_excused, p_alone) AS c;
    IF p_announce AND answer = 'Claimed' THEN
        INSERT INTO run_events (run_id, seq, event, data)
        VALUES (p_run, (p_attempt::bigint << 32) + 1, 'metadata',
                jsonb_build_object('run_id', p_run, 'attempt', p_attempt)::text)
        ON CONFLICT (run_id, seq) DO NOTHING;                -- claimed twice: the first answer was lost
    END IF;
    SELECT * INTO run FROM runs WHERE run_id = p_run;        -- a statement of its own: it sees what the claim did
END $$;
