"""The store of the runs: LangGraph's Postgres store, with the vector index that `langgraph.json` asks for."""

import asyncio
import importlib.util
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore, GetOp, ListNamespacesOp, Op, PutOp, Result, SearchOp, TTLConfig
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database
from relayrun_core.storable import storable_text
from relayrun_runner.author_errors import error_text, text_of
from relayrun_runner.config.model import Config, StoreTtl
from relayrun_runner.errors import ConfigError, StoreUnavailable
from relayrun_runner.graphs.imports import ObjectNotFound, load_object
from relayrun_runner.graphs.serialize import dumps
from relayrun_runner.langgraph_tables import index_options
from relayrun_runner.process.exits import end_broken
from relayrun_runner.retry import until_deadline
from relayrun_runner.store.filters import condition_of

log = logging.getLogger("relayrun.runner")

_LONGEST_WAIT_SECONDS = 3600.0
# Without these pgvector's indexes look at 40 vectors (or one list) and no more: a search for 100 finds 40, and one with
# a filter perhaps none.
_VECTOR_PARAMETERS = {"hnsw.iterative_scan": "strict_order", "ivfflat.iterative_scan": "relaxed_order"}

# LangGraph hands each operator of a filter to `_get_filter_condition`: with this one the whole of an entry.
_MATCHES = "$matches"


class RetryingStore(AsyncPostgresStore):
    """The store that waits while the database is away. Its calls may be repeated: each sets or reads, none adds.

    Its searches answer as those of LangGraph's in-memory store do, where LangGraph's Postgres store differs.
    """

    # LangGraph's gather the calls of one moment, whose ever they are, into a batch, and one that is refused fails all.
    aget = BaseStore.aget
    asearch = BaseStore.asearch
    aput = BaseStore.aput
    adelete = BaseStore.adelete
    alist_namespaces = BaseStore.alist_namespaces

    def __init__(
        self,
        database: Database,
        *,
        index: PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        retry_seconds: float = _LONGEST_WAIT_SECONDS,
    ) -> None:
        super().__init__(database.pool, index=index, ttl=ttl)
        #: Its connections.
        self.database = database
        self._retry_seconds = retry_seconds

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations together; a run's own deadline ends the wait sooner than this one."""
        asked = list(ops)
        batch = [_in_our_words(op) for op in asked]
        run = super().abatch
        deadline = asyncio.get_running_loop().time() + self._retry_seconds
        results: list[Result] = await until_deadline(lambda: run(batch), deadline, "using the store")
        return [_page(op, result) for op, result in zip(asked, results, strict=True)]

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """The store's only way to its connections."""
        async with AsyncExitStack() as stack:

            async def begin() -> AsyncCursor[DictRow]:
                if pipeline:
                    conn, _ = await stack.enter_async_context(self.database.pipeline())
                else:
                    conn = await stack.enter_async_context(self.database.connection())
                return await stack.enter_async_context(conn.cursor(binary=True, row_factory=dict_row))

            yield cast("AsyncCursor[DictRow]", _LateCursor(begin)) if pipeline else await begin()

    def _get_filter_condition(self, key: str, op: str, value: Any) -> tuple[str, list[Any]]:
        if op != _MATCHES:
            raise ValueError(f"Unsupported operator: {op}")
        return condition_of(key, value)


class _LateCursor:
    """A cursor that takes its connection for its first statement: the embedding before it may take seconds."""

    def __init__(self, begin: Callable[[], Awaitable[AsyncCursor[DictRow]]]) -> None:
        self._begin = begin
        self._cursor: AsyncCursor[DictRow] | None = None

    async def execute(self, query: Any, params: Any = None) -> Any:
        if self._cursor is None:
            self._cursor = await self._begin()
        return await self._cursor.execute(query, params)

    async def fetchall(self) -> list[DictRow]:
        assert self._cursor is not None
        return await self._cursor.fetchall()


@asynccontextmanager
async def open_store(
    where: str | ConnectionSettings, config: Config, connections: int = 2
) -> AsyncIterator[RetryingStore]:
    """The store, on the running loop; its connections open with first use. Writes are not fenced: at least once.

    They are its own: a node that hammers the store must not starve checkpoints.

    Raises ConfigError or StoreUnavailable when the embedding that `store.index.embed` names can not be loaded.
    """
    index = config.store.index if config.store else None
    options = None if index is None else index_options(index, load_embedding(config, index.embed))
    # Also without `store.ttl`: what an item's own time to live ends has to be deleted by somebody.
    ttl = _ttl((config.store and config.store.ttl) or StoreTtl())
    async with open_connections(where, connections, parameters=vector_parameters(options)) as database:
        store = RetryingStore(database, index=options, ttl=ttl)
        async with store:
            await store.start_ttl_sweeper()
            yield store


@asynccontextmanager
async def open_connections(
    where: str | ConnectionSettings,
    most: int,
    timeout_seconds: float = 10.0,
    parameters: Mapping[str, str] | None = None,
) -> AsyncIterator[Database]:
    """Connections for a store, made with first use; as `Database.open` has it."""
    async with Database.open(
        where,
        role="runner",
        min_size=0,
        max_size=most,
        timeout_seconds=timeout_seconds,
        parameters=parameters,
        when_broken=end_broken,
        dumps=dumps,
    ) as database:
        yield database


def vector_parameters(index: PostgresIndexConfig | None) -> Mapping[str, str]:
    """What the server is told for searches by meaning; nothing where there are none."""
    return {} if index is None else _VECTOR_PARAMETERS


def load_embedding(config: Config, name: str) -> Any:
    """What embeds texts: `provider:model` by LangChain, or `path.py:function` of the author."""
    where, _, attribute = name.rpartition(":")
    if where.endswith(".py") or "/" in where or ("." in where and "/" not in attribute):
        return _author_embedding(config, name)
    if importlib.util.find_spec("langchain") is None:
        raise StoreUnavailable(
            f"{config.file}: store.index.embed: {name!r} needs LangChain: install langchain and the provider's package"
        )
    try:
        return importlib.import_module("langchain.embeddings").init_embeddings(name)
    except BaseException as error:  # a provider's own, for example for a key that is missing
        raise StoreUnavailable(f"{config.file}: store.index.embed: {name!r} did not load: {text_of(error)}") from error


def _author_embedding(config: Config, name: str) -> Any:
    try:
        value = load_object(config, name)
    except ObjectNotFound as error:
        raise ConfigError(config.file, "store.index.embed", str(error)) from error
    except BaseException as error:
        raise StoreUnavailable(
            f"{config.file}: store.index.embed: {name!r} did not load: {error_text(error)}"
        ) from error
    if isinstance(value, Embeddings) or callable(value):
        return value
    raise ConfigError(config.file, "store.index.embed", f"{name!r} is neither a function nor an Embeddings object")


def _ttl(ttl: StoreTtl) -> TTLConfig:
    return cast("TTLConfig", ttl.model_dump(exclude_none=True))


def _in_our_words(op: Op) -> Op:
    match op:
        case PutOp() | GetOp():
            return op._replace(namespace=_labels(op.namespace), key=storable_text(op.key))
        case ListNamespacesOp() if op.match_conditions:
            conditions = tuple(each._replace(path=_labels(each.path)) for each in op.match_conditions)
            return op._replace(match_conditions=conditions)
        case SearchOp():
            return _search_in_our_words(op._replace(namespace_prefix=_labels(op.namespace_prefix)))
    return op


def _labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(storable_text, labels))


def _search_in_our_words(op: SearchOp) -> SearchOp:
    if op.filter:
        op = op._replace(filter={key: {_MATCHES: wanted} for key, wanted in op.filter.items()})
    if op.query and op.offset:
        # LangGraph ranks too few items to skip any, so the skipping is ours.
        op = op._replace(limit=op.limit + op.offset, offset=0)
    return op


def _page(op: Op, result: Result) -> Result:
    if isinstance(op, SearchOp) and op.query and op.offset and isinstance(result, list):
        return result[op.offset :]
    return result
