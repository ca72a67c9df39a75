-- What the assistants of a thread's runs say in `configurable`, the last one's over those before it: graph factories are
-- asked with it for the thread's state, as the Agent Server asks them. A run's own `configurable` is not among it.
ALTER TABLE threads ADD COLUMN configurable jsonb NOT NULL DEFAULT '{}';

CREATE FUNCTION relayrun_keep_configurable_v1() RETURNS trigger
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
EXECUTE FUNCTION relayrun_keep_configurable_v1();
