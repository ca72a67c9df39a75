-- Revisions: which template the runner of a run was made from. An open thread may have to go on under the one that it
-- began with.

ALTER TABLE runs ADD COLUMN revision text;                      -- of its last attempt, or of its open thread; NULL: none
ALTER TABLE threads ADD COLUMN revision text;                   -- while it is open, which is busy or interrupted; else NULL
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
