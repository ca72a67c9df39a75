-- Who a cron runs as: whoever said last what it runs.

ALTER TABLE crons
    ADD COLUMN runs_as           text,                          -- its identity; NULL too where nobody noted it yet
    ADD COLUMN assistant_version integer;                       -- of somebody else's assistant; NULL: the newest

-- Whom an admin is, no row says: what its crons run is kept as it is now.
UPDATE crons c SET assistant_version = a.version FROM assistants a
WHERE a.assistant_id = c.assistant_id AND NOT a.is_default
  AND (c.as_admin OR (c.made_by IS NOT NULL AND a.owner IS DISTINCT FROM c.made_by ->> 'identity'));
