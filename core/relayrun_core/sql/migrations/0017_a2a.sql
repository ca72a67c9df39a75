-- A2A tasks: who is told of their ends, and which were given up while they waited for an answer. A task is a run, and
-- the runs after it whose metadata has its id as `a2a_task_id`.

-- Receivers of a task's push notifications.
CREATE TABLE a2a_receivers (
    task_id          uuid NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    receiver_id      text NOT NULL,
    url              text NOT NULL,
    config           jsonb NOT NULL,                            -- as it was sent, and how it is to be told
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, receiver_id)
);

-- Tasks that were cancelled while they waited for an answer: their runs had ended.
CREATE TABLE a2a_canceled (
    task_id          uuid PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    canceled_at      timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE webhooks ADD COLUMN push jsonb;                     -- NULL: of a run's `webhook`; else a receiver's `config`

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
