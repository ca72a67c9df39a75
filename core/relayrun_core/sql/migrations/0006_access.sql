-- Who may, and how much: API keys, starts that count against a limit, and keys that make a start happen once.

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

-- One row an accepted start, numbered for its subject without a gap, so that counting is a subtraction.
CREATE TABLE run_starts (
    subject          text NOT NULL,
    started_at       timestamptz NOT NULL,
    number           bigint NOT NULL,
    PRIMARY KEY (subject, started_at)
);
CREATE INDEX run_starts_old ON run_starts USING brin (started_at);

CREATE TABLE idempotency_keys (
    owner            text NOT NULL,                             -- who sent it; '' without authentication
    key              text NOT NULL,
    fingerprint      bytea NOT NULL,                            -- of the request
    run_id           uuid NOT NULL,                             -- no reference: a forgotten run is not started again
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_old ON idempotency_keys USING brin (created_at);

-- What a subject has used of its limit in the window that ends now; `seconds` until its oldest start leaves that.
-- Nobody else starts anything for the subject until this transaction ends.
CREATE FUNCTION relayrun_used_v1(
    p_subject text, p_window interval,
    OUT used bigint, OUT seconds double precision, OUT moment timestamptz, OUT newest bigint
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_last timestamptz;
    v_oldest timestamptz;
    v_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_subject, 7261));
    -- After the lock: the transaction may have begun long before it.
    moment := clock_timestamp();
    SELECT s.started_at, s.number INTO v_last, newest FROM run_starts s
    WHERE s.subject = p_subject ORDER BY s.started_at DESC LIMIT 1;
    SELECT s.started_at, s.number INTO v_oldest, v_number FROM run_starts s
    WHERE s.subject = p_subject AND s.started_at > moment - p_window ORDER BY s.started_at LIMIT 1;
    used := coalesce(newest - v_number + 1, 0);
    seconds := extract(epoch FROM coalesce(v_oldest, moment) + p_window - moment);
    moment := greatest(moment, v_last + interval '1 microsecond');   -- a clock may be set back
    newest := coalesce(newest, 0);
END $$;

-- Accepts a run as `relayrun_create_run_v2` does, once for an idempotency key and at most so often for a subject; NULL
-- for no limit, no key. What is refused leaves nothing behind. Answers also Replayed (then `run` is the first one),
-- KeyReused or RateLimited; `remaining` and `seconds` are of the limit, NULL where there is none.
CREATE FUNCTION relayrun_start_run_v1(
    p_run uuid, p_thread uuid, p_owner text, p_name text, p_thread_metadata jsonb, p_agent text, p_graph text,
    p_assistant uuid, p_spec jsonb, p_create_thread boolean, p_require_not_interrupted boolean, p_object jsonb,
    p_subject text, p_limit bigint, p_window interval, p_key_owner text, p_key text, p_fingerprint bytea,
    OUT answer text, OUT run uuid, OUT remaining bigint, OUT seconds double precision
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_used bigint;
    v_newest bigint;
    v_moment timestamptz;
BEGIN
    run := p_run;
    -- Lock order: the subject, the key, then as everywhere.
    IF p_limit IS NOT NULL THEN
        SELECT u.used, u.seconds, u.moment, u.newest INTO v_used, seconds, v_moment, v_newest
        FROM relayrun_used_v1(p_subject, p_window) AS u;
        remaining := greatest(p_limit - v_used, 0);
    END IF;
    IF p_key IS NOT NULL THEN
        -- Waits for whoever uses the same key just now.
        INSERT INTO idempotency_keys AS k (owner, key, fingerprint, run_id)
        VALUES (p_key_owner, p_key, p_fingerprint, p_run)
        ON CONFLICT (owner, key) DO UPDATE
        SET fingerprint = EXCLUDED.fingerprint, run_id = EXCLUDED.run_id, created_at = now()
        WHERE k.created_at <= now() - interval '24 hours' OR k.run_id = EXCLUDED.run_id;
        IF NOT FOUND THEN
            SELECT CASE WHEN k.fingerprint = p_fingerprint THEN 'Replayed' ELSE 'KeyReused' END, k.run_id
            INTO answer, run FROM idempotency_keys k WHERE k.owner = p_key_owner AND k.key = p_key;
            RETURN;
        END IF;
    END IF;
    IF EXISTS (SELECT 1 FROM runs WHERE run_id = p_run) THEN
        answer := 'Created';                                    -- told twice: the first answer was lost
        RETURN;
    END IF;
    IF p_limit IS NOT NULL AND v_used >= p_limit THEN
        answer := 'RateLimited';
        -- When the limit was lowered, more than the oldest start must leave the window.
        SELECT extract(epoch FROM s.started_at + p_window - v_moment) INTO seconds FROM run_starts s
        WHERE s.subject = p_subject AND s.number = v_newest - p_limit + 1
        ORDER BY s.started_at DESC LIMIT 1;
    ELSE
        answer := relayrun_create_run_v2(p_run, p_thread, p_owner, p_name, p_thread_metadata, p_agent, p_graph,
                                         p_assistant, p_spec, p_create_thread, p_require_not_interrupted, p_object);
    END IF;
    IF answer <> 'Created' THEN
        DELETE FROM idempotency_keys WHERE owner = p_key_owner AND key = p_key;
    ELSIF p_limit IS NOT NULL THEN
        INSERT INTO run_starts (subject, started_at, number) VALUES (p_subject, v_moment, v_newest + 1);
        remaining := p_limit - v_used - 1;
    END IF;
END $$;
