-- Assistants that owners make, and what admins change of the graphs' default ones. Every change is a new version.

ALTER TABLE assistants
    ADD COLUMN newest        integer NOT NULL DEFAULT 1,        -- the highest version number that was given
    ADD COLUMN is_default    boolean NOT NULL DEFAULT false;    -- a graph's own: everybody's, for as long as its graph
CREATE INDEX assistants_owner ON assistants (owner, created_at DESC);
CREATE INDEX assistants_metadata ON assistants USING gin (metadata jsonb_path_ops);

ALTER TABLE assistant_versions ADD COLUMN agent text;
UPDATE assistant_versions v SET agent = a.agent FROM assistants a WHERE a.assistant_id = v.assistant_id;
ALTER TABLE assistant_versions ALTER COLUMN agent SET NOT NULL;
