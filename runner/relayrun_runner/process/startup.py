"""What a runner waits for before it is ready, and what it flushes before it ends."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from relayrun_core.database import Database, is_transient
from relayrun_core.db.migrate import require_schema
from relayrun_core.errors import SchemaTooOld
from relayrun_runner.config.model import Config
from relayrun_runner.langgraph_tables import check
from relayrun_runner.process.health import Readiness

log = logging.getLogger("relayrun.runner")

_AGAIN_SECONDS = 0.25
_SILENT_SECONDS = 5.0  # `relayrun dev` and a chart migrate while runners start: that is nothing to warn of
_FLUSH_SECONDS = 5.0


async def when_database_answers(call: Callable[[], Awaitable[None]], readiness: Readiness) -> None:
    """Await `call()`, again and again while the database is away; `readiness` says so meanwhile."""
    said = False
    while True:
        try:
            await call()
        except Exception as error:
            if not is_transient(error):
                raise
            readiness.set("database", f"the database does not answer: {error}", waiting=True)
            if not said:
                log.warning("the database does not answer, trying again: %s", error)
            said = True
            await asyncio.sleep(_AGAIN_SECONDS)  # back-off between two tries
        else:
            readiness.clear("database")
            return


async def wait_for_schema(database: Database, config: Config, readiness: Readiness) -> None:
    """Return once the database has the tables of this version and of the installed LangGraph.

    A runner never migrates: it waits until somebody has, and `readiness` says for what.
    """
    said = ""
    began = time.monotonic()
    while True:
        lacking: list[str] = []

        async def look(lacking: list[str] = lacking) -> None:
            lacking.clear()
            if sentence := await _lacking(database, config):
                lacking.append(sentence)

        await when_database_answers(look, readiness)
        if not lacking:
            readiness.clear("schema")
            return
        if lacking[0] != said and time.monotonic() - began >= _SILENT_SECONDS:
            log.warning("%s", lacking[0])
            said = lacking[0]
        readiness.set("schema", lacking[0], waiting=True)
        await asyncio.sleep(_AGAIN_SECONDS)  # until a migration has run


async def _lacking(database: Database, config: Config) -> str | None:
    try:
        await require_schema(database)
    except SchemaTooOld as error:
        return str(error)
    async with database.connection() as conn:
        return await check(conn, config.store)


async def flush_tracers() -> None:
    """Send what LangSmith has not been sent yet; a tracing server that is away holds nothing up for long."""
    from langchain_core.tracers.langchain import wait_for_all_tracers

    try:
        async with asyncio.timeout(_FLUSH_SECONDS):
            await asyncio.to_thread(wait_for_all_tracers)
    except TimeoutError:
        log.warning("traces were not flushed within %.0f s", _FLUSH_SECONDS)
