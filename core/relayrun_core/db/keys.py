"""Creates, finds, lists and revokes API keys. Only their hashes are stored."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from relayrun_core.database import Database

#: What every key begins with, so that people and secret scanners know one when they see it.
PREFIX = "relayrun_"
_SECRET_BYTES = 32
_ID_LENGTH = 8
_TRIES = 5

_COLUMNS = "key_id, owner, admin, name, created_at, last_used_at, expires_at, revoked_at"
_CREATE = f"""
INSERT INTO api_keys (key_id, hash, owner, admin, name, expires_at)
VALUES (%(key_id)s, %(hash)s, %(owner)s, %(admin)s, %(name)s, now() + %(lifetime)s)
RETURNING {_COLUMNS}"""  # noqa: S608 - our own column names
# When it was used last is noted to the hour: a write for each request would cost more than it tells.
_FIND = f"""
WITH used AS (
    UPDATE api_keys SET last_used_at = now()
    WHERE hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
      AND (last_used_at IS NULL OR last_used_at < now() - interval '1 hour'))
SELECT {_COLUMNS} FROM api_keys WHERE hash = %(hash)s"""  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at, key_id"  # noqa: S608
_REVOKE = f"""
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s RETURNING {_COLUMNS}"""  # noqa: S608
# Whose transaction is under way is not seen yet: nobody makes or revokes a key for as long.
_SETTLED = "now() - interval '10 seconds'"
_FROM_NOW_ON = """
INSERT INTO tidied (rows_of, finished_at, run_id) VALUES ('api_keys', now(), '00000000-0000-0000-0000-000000000000')
ON CONFLICT DO NOTHING"""
_TOLD = "SELECT finished_at FROM tidied WHERE rows_of = 'api_keys' FOR UPDATE SKIP LOCKED"
_CHANGED = f"""
SELECT what, at, {_COLUMNS} FROM api_keys
CROSS JOIN LATERAL (VALUES ('created', created_at), ('revoked', revoked_at)) AS change (what, at)
WHERE at > %(told)s AND at <= {_SETTLED} ORDER BY at, key_id"""  # noqa: S608
_NOW_TOLD = f"UPDATE tidied SET finished_at = greatest(finished_at, {_SETTLED}) WHERE rows_of = 'api_keys'"  # noqa: S608


@dataclass(frozen=True)
class ApiKey:
    """A row of `api_keys`; `key_id` is how the key begins behind its prefix."""

    key_id: str
    owner: str
    admin: bool
    name: str | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    def valid(self, now: datetime) -> bool:
        """Return whether the key may be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class KeyChange:
    """A key was `created` or `revoked`."""

    what: str
    at: datetime
    key: ApiKey


def looks_like_key(text: str) -> bool:
    """Whether `text` has the form of a key, so that it is worth asking the database."""
    return text.startswith(PREFIX) and len(text) == len(PREFIX) + 2 * _SECRET_BYTES and text.isascii()


async def create_key(
    database: Database, owner: str, *, admin: bool = False, name: str | None = None, lifetime: timedelta | None = None
) -> tuple[str, ApiKey]:
    """Create a key. This is the only time that its text is returned."""
    for last in (*[False] * (_TRIES - 1), True):
        text = PREFIX + secrets.token_hex(_SECRET_BYTES)
        key_id = text.removeprefix(PREFIX)[:_ID_LENGTH]
        params = {
            "key_id": key_id,
            "hash": _hash(text),
            "owner": owner,
            "admin": admin,
            "name": name,
            "lifetime": lifetime,
        }
        try:
            row = await database.fetch_one(_CREATE, params)
        except psycopg.errors.UniqueViolation:
            if last:
                raise
            continue
        assert row is not None
        return text, ApiKey(**row)
    raise AssertionError("unreachable")


async def find_key(database: Database, text: str) -> ApiKey | None:
    """Return the key that a caller sent, valid or not; None when there is none."""
    row = await database.fetch_one(_FIND, {"hash": _hash(text)})
    return ApiKey(**row) if row else None


async def list_keys(database: Database) -> list[ApiKey]:
    """All keys, oldest first."""
    return [ApiKey(**row) for row in await database.fetch_all(_LIST)]


async def revoke_key(database: Database, key_id: str) -> ApiKey | None:
    """Revoke a key, once and for all; None when there is none."""
    row = await database.fetch_one(_REVOKE, (key_id,))
    return ApiKey(**row) if row else None


async def changed_keys(database: Database) -> list[KeyChange]:
    """What has happened to keys since the last call, by any process, up to some seconds ago; each change once.

    The first call of all begins with what happens from then on.
    """
    await database.execute(_FROM_NOW_ON)
    async with database.connection() as conn, conn.transaction():
        told = await (await conn.execute(_TOLD)).fetchone()
        if told is None:
            return []
        rows = await (await conn.execute(_CHANGED.encode(), {"told": told["finished_at"]})).fetchall()
        await conn.execute(_NOW_TOLD.encode())
        return [KeyChange(row.pop("what"), row.pop("at"), ApiKey(**row)) for row in rows]


def _hash(text: str) -> bytes:
    # Plain SHA-256: 32 random bytes cannot be guessed, and a slow hash would cost every request.
    return hashlib.sha256(text.encode()).digest()
