-- What the API knows of a run's AgentRun, and when its reconciler looks at the run again.

ALTER TABLE runs
    ADD COLUMN object      jsonb,                             -- the AgentRun of a run by kubectl: {namespace, name, uid}
    ADD COLUMN cluster     text,                              -- UIDs of namespace and kind that its AgentRun was made in
    ADD COLUMN look_after  timestamptz,                       -- the reconciler has seen to it until then
    ADD COLUMN refusals    integer NOT NULL DEFAULT 0,        -- how often its AgentRun was refused
    ADD COLUMN refusal     text;                              -- why, in the API server's own words

-- As `relayrun_create_run_v1`, for a run that came with an AgentRun: which one, in the same transaction.
CREATE FUNCTION relayrun_create_run_v2(
    p_run uuid, p_thread uuid, p_owner text, p_name text, p_thread_metadata jsonb, p_agent text, p_graph text,
    p_assistant uuid, p_spec jsonb, p_create_thread boolean, p_require_not_interrupted boolean, p_object jsonb
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_answer text := relayrun_create_run_v1(p_run, p_thread, p_owner, p_name, p_thread_metadata, p_agent, p_graph,
                                            p_assistant, p_spec, p_create_thread, p_require_not_interrupted);
BEGIN
    IF v_answer = 'Created' AND p_object IS NOT NULL THEN
        UPDATE runs SET object = p_object WHERE run_id = p_run;
    END IF;
    RETURN v_answer;
END $$;
