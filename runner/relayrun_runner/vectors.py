"""The store of the runs: LangGraph's Postgres store, with the vector index that `langgraph.json` asks for."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from langgraph.store.base import Op, Result, TTLConfig
from langgraph.store.postgres.aio import AsyncPostgresStore

from relayrun_core.database import Database
from relayrun_runner.config import Config, StoreTtl
from relayrun_runner.errors import ConfigError, StoreUnavailable
from relayrun_runner.imports import ObjectNotFound, load_object
from relayrun_runner.retry import until_deadline
from relayrun_runner.schema import index_options

# Store calls of nodes have connections of their own: a node that hammers the store must not starve checkpoints.
_CONNECTIONS = 5
_LONGEST_WAIT_SECONDS = 3600.0


class PatientStore(AsyncPostgresStore):
    """The store that waits while the database is away. Its calls may be repeated: each sets or reads, none adds."""

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations together; a run's own deadline ends the wait sooner than this one."""
        batch = list(ops)
        run = super().abatch
        deadline = asyncio.get_running_loop().time() + _LONGEST_WAIT_SECONDS
        results: list[Result] = await until_deadline(lambda: run(batch), deadline, "using the store")
        return results


@asynccontextmanager
async def open_store(url: str, config: Config) -> AsyncIterator[PatientStore]:
    """The store, on the running loop; its connections open with first use. Writes are not fenced: at least once.

    Raises ConfigError or StoreUnavailable when the embedding that `store.index.embed` names can not be loaded.
    """
    index = config.store.index if config.store else None
    options = None if index is None else index_options(index, load_embedding(config, index.embed))
    ttl = _ttl(config.store.ttl) if config.store and config.store.ttl else None
    async with Database.open(url, role="runner", min_size=0, max_size=_CONNECTIONS) as database:
        store = PatientStore(database.pool, index=options, ttl=ttl)
        async with store:
            if ttl is not None:
                await store.start_ttl_sweeper()
            yield store


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
    except Exception as error:  # a provider's own, for example for a key that is missing
        raise StoreUnavailable(f"{config.file}: store.index.embed: {name!r} did not load: {error}") from error


def _author_embedding(config: Config, name: str) -> Any:
    try:
        value = load_object(config, name)
    except ObjectNotFound as error:
        raise ConfigError(config.file, "store.index.embed", str(error)) from error
    if isinstance(value, Embeddings) or callable(value):
        return value
    raise ConfigError(config.file, "store.index.embed", f"{name!r} is neither a function nor an Embeddings object")


def _ttl(ttl: StoreTtl) -> TTLConfig:
    return cast("TTLConfig", ttl.model_dump(exclude_none=True))
