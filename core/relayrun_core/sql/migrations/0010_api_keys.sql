-- API keys.

CREATE TABLE api_keys (
    key_id           text PRIMARY KEY,                          -- the key's first characters: what people call it
    hash             bytea NOT NULL UNIQUE,                     -- SHA-256 of the whole key, which is 32 random bytes
    owner            text NOT NULL CHECK (owner <> ''),
    admin            boolean NOT NULL DEFAULT false,
    name             text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    last_used_at     timestamptz,                               -- to the hour
    expires_at       timestamptz,
    revoked_at       timestamptz
);
