-- Threads by the names that their owners give them. Whose id could be worked out from owner and name, as it was before,
-- could be taken by somebody else in advance: clients may choose the ids of threads.

-- What only this installation knows; made once. Two random UUIDs have 244 random bits.
CREATE TABLE installation (
    secret           bytea NOT NULL
);
INSERT INTO installation (secret)
VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));
CREATE UNIQUE INDEX installation_is_one ON installation ((true));

-- Not unique: one name has one id, so that the primary key keeps two first uses apart, and a version before that serves
-- beside this one, and makes a second thread of that name, must not fail. The older one is meant then.
CREATE INDEX threads_name ON threads (coalesce(owner, ''), name) WHERE name IS NOT NULL;

-- The id of the thread that an owner calls by a name, whether there is one yet or not. `p_former` is what versions
-- before would have called it: that is the thread only where it is the caller's own already.
CREATE FUNCTION relayrun_thread_id_v1(p_owner text, p_name text, p_former uuid) RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT thread_id FROM threads WHERE coalesce(owner, '') = coalesce(p_owner, '') AND name = p_name
         ORDER BY created_at, thread_id LIMIT 1),
        (SELECT thread_id FROM threads
         WHERE thread_id = p_former AND coalesce(owner, '') = coalesce(p_owner, '') AND name IS NULL),
        -- As a UUID of version 4: to everybody else it is random.
        (SELECT overlay(overlay(encode(substring(d.digest FOR 16), 'hex') PLACING '4' FROM 13 FOR 1)
                        PLACING substr('89ab', 1 + get_byte(d.digest, 16) % 4, 1) FROM 17 FOR 1)::uuid
         FROM installation i, LATERAL (SELECT sha256(
             i.secret || sha256(convert_to(coalesce(p_owner, ''), 'UTF8')) || sha256(convert_to(p_name, 'UTF8'))
         ) AS digest) AS d))
$$;
