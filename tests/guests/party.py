"""Twenty innocents and any guests in one `relayrun dev`: all are accepted at once, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.runs import create_run, get_runs
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, Run, RunSpec
from tests.guests.guests import AGENT, Guest
from tests.guests.innocents import INNOCENTS, innocent
from tests.support.dev import Dev, name_of, relayrun_dev
from tests.support.postgres import fresh_database
from tests.support.reading import Reader, client_of
from tests.support.waiting import eventually

RUNNERS = 3
#: `custom` authentication believes whoever says a name.
HOST = "host"
_UNFINISHED = """
SELECT graph, spec -> 'input' AS input, status, attempt FROM runs
WHERE run_id = ANY(%s) AND status IN ('pending', 'running')"""
_HELD_BY = "SELECT 1 FROM runs WHERE status = 'running' AND runner = %s"


@dataclass
class Party:
    """Who is here. `ran` has the guests' runs as they ended, `innocents` those of each wave."""

    dev: Dev
    database: Database
    http: httpx.AsyncClient
    ran: dict[str, Run] = field(default_factory=dict)
    innocents: list[UUID] = field(default_factory=list)

    async def wave(self, invited: Mapping[str, Guest]) -> None:
        """Let these guests run beside innocents, until all have ended. Processes that stand still go on at last."""
        innocents = [await self.accept(innocent()) for _ in range(INNOCENTS)]
        accepted = {name: await self.accept(guest) for name, guest in invited.items()}
        thawing = asyncio.create_task(self._thaw())
        try:
            ended = await self.ended([*innocents, *accepted.values()])
        finally:
            thawing.cancel()
            await asyncio.gather(thawing, return_exceptions=True)
        self.innocents += innocents
        self.ran |= {name: ended[run_id] for name, run_id in accepted.items()}

    async def accept(self, guest: Guest) -> UUID:
        """Accept its run, with what no request may ask for: how often it may fail."""
        spec = RunSpec(
            input=guest.input,
            config={"configurable": guest.configurable},
            stream_modes=["values", "updates", "custom", "messages-tuple"],
            backoff_limit=guest.backoff_limit,
        )
        new = NewRun(new_run_id(), uuid4(), "default", guest.graph, spec, owner=HOST)
        await create_run(self.database, new)
        return new.run_id

    async def ended(self, run_ids: list[UUID], seconds: float = 180) -> dict[UUID, Run]:
        """The runs, once all have ended."""
        left: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(seconds):
                while left := await self.database.fetch_all(_UNFINISHED, (run_ids,)):
                    await asyncio.sleep(0.2)  # the runs need the processors
        except TimeoutError:
            raise AssertionError(f"these do not end: {left}") from None
        return {run.run_id: run for run in await get_runs(self.database, run_ids)}

    async def attempts(self) -> dict[UUID, int]:
        """How many attempts each run has had that a runner claimed."""
        rows = await self.database.fetch_all("SELECT run_id, count(*) AS n FROM run_attempts GROUP BY run_id")
        return {row["run_id"]: row["n"] for row in rows}

    async def told(self, run: Run) -> Reader:
        """All that a client is told of an ended run."""
        reader = Reader(self.dev.url, str(run.thread_id), str(run.run_id), name=HOST)
        await reader.read()
        reader.whole()
        return reader

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """An answer, asked for again while nobody is there who knows it."""

        async def answer() -> httpx.Response | None:
            try:
                found = await self.http.get(path, headers=headers)
            except httpx.TransportError:
                return None
            return None if found.status_code == httpx.codes.SERVICE_UNAVAILABLE else found

        found = await eventually(answer)
        assert found is not None
        return found

    async def _thaw(self) -> None:
        """Let runners that stand still go on, once all that they held is held by others."""
        while True:
            for process in filter(is_stopped, self.dev.running("relayrun_runner")):
                if not await self.database.fetch_all(_HELD_BY, (name_of(process),)):
                    with suppress(psutil.NoSuchProcess):
                        process.resume()
            await asyncio.sleep(0.2)


def is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


@asynccontextmanager
async def party(postgres: EmbeddedPostgres) -> AsyncIterator[Party]:
    """A started dev on a database of its own."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fresh_database(postgres))
        options: dict[str, Any] = {"runners": RUNNERS, "slots": 40, "environment": {"DATABASE_URL": url}}
        dev = await stack.enter_async_context(relayrun_dev(config=AGENT, **options))
        database = await stack.enter_async_context(Database.open(url, role="world"))
        http = await stack.enter_async_context(client_of(dev.url))
        http.headers["authorization"] = HOST
        yield Party(dev, database, http)
