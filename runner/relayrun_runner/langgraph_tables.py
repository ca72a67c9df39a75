"""LangGraph's own tables: the checkpoints' and the store's migrations, and whether a database has them.

They are applied once, by `relayrun dev` or a migration Job, never by every runner at start.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import Migration, PostgresIndexConfig
from psycopg.rows import DictRow, dict_row

from relayrun_runner.config.model import IndexConfig, StoreConfig
from relayrun_runner.errors import StoreUnavailable

log = logging.getLogger("relayrun.runner")

Connection = psycopg.AsyncConnection[DictRow]

# Differs from core's lock: core waits for its own inside a statement, and CREATE INDEX CONCURRENTLY waits for every
# statement that is older than it.
_LOCK = 5_200_418
_LOCK_EVERY_SECONDS = 0.2

# pgvector builds no HNSW or IVFFlat index on longer vectors.
_LONGEST_INDEXED = {"vector": 2000, "halfvec": 4000}

_NEWEST = "SELECT max(v) AS newest FROM {}"
_VECTOR_LENGTH = """
SELECT atttypmod AS dims FROM pg_attribute
WHERE attrelid = to_regclass('store_vectors') AND attname = 'embedding'"""


async def setup(url: str, store: StoreConfig | None = None) -> None:
    """Bring LangGraph's tables up to the installed LangGraph; the vector index too where `store` asks for one.

    Raises StoreUnavailable when the index can not be made; what psycopg raises.
    """
    async with _one_at_a_time(url) as conn:
        await AsyncPostgresSaver(conn).setup()
        index = store.index if store else None
        if index is None:
            await AsyncPostgresStore(conn).setup()
            return
        await _require_length(conn, index)
        try:
            await _store_for_setup(conn, index).setup()
        except (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported) as error:
            raise StoreUnavailable(
                f"this Postgres has no pgvector, which store.index needs: install it ({error})"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            text = (
                f"the extension pgvector can not be created: let an administrator run CREATE EXTENSION vector ({error})"
            )
            raise StoreUnavailable(text) from error


async def check(conn: Connection, store: StoreConfig | None = None) -> str | None:
    """One sentence about what the database lacks for the installed LangGraph, or None when it lacks nothing."""
    wanted: dict[str, Sequence[Any]] = {
        "checkpoint_migrations": AsyncPostgresSaver.MIGRATIONS,
        "store_migrations": AsyncPostgresStore.MIGRATIONS,
    }
    index = store.index if store else None
    if index is not None:
        wanted["vector_migrations"] = _migrations(index)
    for table, migrations in wanted.items():
        newest = await _newest(conn, table)
        if newest < len(migrations) - 1:
            return (
                f"the database is at number {newest} of {table} and the installed LangGraph needs"
                f" {len(migrations) - 1}: run the migrations of this version first"
            )
    if index is not None:
        try:
            await _require_length(conn, index)
        except StoreUnavailable as error:
            return str(error)
    return None


def index_options(index: IndexConfig, embed: Any) -> PostgresIndexConfig:
    """The index in LangGraph's words, with an object or function that embeds."""
    options = PostgresIndexConfig(dims=index.dims, embed=embed, fields=index.fields)
    if index.ann_index_config is not None:
        options["ann_index_config"] = index.ann_index_config  # type: ignore[typeddict-item]
    if index.distance_type is not None:
        options["distance_type"] = index.distance_type  # type: ignore[typeddict-item]
    return options


@asynccontextmanager
async def _one_at_a_time(url: str) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row) as conn:
        # Tried again and again instead of waited for: whoever waits inside a statement blocks the
        # CREATE INDEX CONCURRENTLY of the one who has the lock, and Postgres ends one of them.
        while not await _try_lock(conn):  # noqa: ASYNC110 - it is another process that we wait for
            await asyncio.sleep(_LOCK_EVERY_SECONDS)
        yield conn


async def _try_lock(conn: Connection) -> bool:
    row = await (await conn.execute("SELECT pg_try_advisory_lock(%s) AS locked", (_LOCK,))).fetchone()
    return bool(row and row["locked"])


def _store_for_setup(conn: Connection, index: IndexConfig) -> AsyncPostgresStore:
    class StoreForSetup(AsyncPostgresStore):
        VECTOR_MIGRATIONS = _migrations(index)

    # Nothing is embedded here, and author code is not loaded: a migration Job has none.
    return StoreForSetup(conn, index=index_options(index, lambda texts: [[0.0] * index.dims for _ in texts]))


def _migrations(index: IndexConfig) -> Sequence[Migration]:
    """LangGraph's vector migrations, without its approximate index where pgvector can not build one."""
    ann = index.ann_index_config or {}
    longest = _LONGEST_INDEXED.get(ann.get("vector_type", "vector"), 0)
    if ann.get("kind") != "flat" and index.dims <= longest:
        return AsyncPostgresStore.VECTOR_MIGRATIONS
    if ann.get("kind") != "flat":
        log.warning(
            "vectors of %s numbers get no index (pgvector's limit is %s): searches read all", index.dims, longest
        )
    return AsyncPostgresStore.VECTOR_MIGRATIONS[:2]


async def _newest(conn: Connection, table: str) -> int:
    try:
        row = await (await conn.execute(_NEWEST.format(table).encode())).fetchone()
    except psycopg.errors.UndefinedTable:
        return -1
    return -1 if row is None or row["newest"] is None else int(row["newest"])


async def _require_length(conn: Connection, index: IndexConfig) -> None:
    row = await (await conn.execute(_VECTOR_LENGTH)).fetchone()
    if row is not None and row["dims"] != index.dims:
        raise StoreUnavailable(
            f"store.index.dims is {index.dims} and the database holds vectors of {row['dims']} numbers: use the same"
            " embedding model again, or drop the tables store_vectors and vector_migrations and index anew"
        )
