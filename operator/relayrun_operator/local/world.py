"""The local world: observes rows and runner processes, asks the engine, carries out its decisions.

```
  rows (NOTIFY, poll) ─┐                              ┌─▶ RunnerCalls ─▶ PUT, DELETE to runners; finish from outside
  watch streams ───────┼─▶ Cache ─▶ Decider (engine) ─┤
  ends of processes ───┘                              └─▶ LocalPool: start, drain
```
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from relayrun_core.database import Database
from relayrun_operator.local.listing import AgentFacts, Listing
from relayrun_operator.local.pool import LocalPool
from relayrun_operator.local.ports import LocalPorts
from relayrun_operator.local.rows import RowWatch
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.local.settings import LocalWorldSettings
from relayrun_operator.local.starter import Starter, make_starter
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.calls import RunnerCalls
from relayrun_operator.loop.decider import Decider
from relayrun_operator.loop.workqueue import WorkQueue

#: After a death the runs go first: starting a process keeps both the loop and the processor busy.
_POOL_LATER_SECONDS = 0.02


@dataclass(frozen=True)
class _Parts:
    """What there is while the world runs."""

    pool: LocalPool
    calls: RunnerCalls[LocalRunner]
    decider: Decider[LocalRunner]


class LocalWorld:
    """The engine applied to processes of this machine. `run` it in a task; `reload` it when the code changed."""

    def __init__(self, settings: LocalWorldSettings, database_url: str, starter: Starter | None = None) -> None:
        """Whoever gives a `starter` opens and closes it."""
        self._settings = settings
        self._owns_starter = starter is None
        self._starter = starter or make_starter(settings.command, settings.preload)
        self._database_url = database_url
        self._wake = asyncio.Event()
        self._cache = Cache[LocalRunner](WorkQueue(self._wake.set), time.monotonic)
        self._listing = Listing(settings.runners_file)
        self._pool_changed = asyncio.Event()
        self._adjusting: asyncio.TimerHandle | None = None
        self._parts: _Parts | None = None
        self._has_served = False

    def announce(self) -> None:
        """Tell the API, before it starts, that no runner is there yet; a world that was killed has left its list."""
        about = AgentFacts(self._settings.agent, self._settings.runners)
        self._listing.write((), about, ())

    async def run(self) -> None:
        """Keep runs going until cancelled; then the runners drain, and what they executed stays in the queue."""
        async with AsyncExitStack() as stack:
            if self._owns_starter:
                stack.push_async_callback(self._starter.close)
                self._starter.open()
            database = await stack.enter_async_context(Database.open(self._database_url, role="world", max_size=4))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            rows = RowWatch(database, self._cache, self._settings.agent)
            await rows.read_all()
            self._cache.nobody_survived()
            pool = LocalPool(
                self._settings,
                self._database_url,
                tasks,
                self._cache,
                self._starter,
                reread=rows.reread,
                wake=self._on_pool,
            )
            ports = LocalPorts(database, rows, pool)
            calls = RunnerCalls[LocalRunner](tasks, self._cache, ports)
            decider = Decider(self._cache, calls, ports, self._wake, self._settings.lost_after_seconds)
            self._parts = _Parts(pool, calls, decider)
            self._pool_changed.set()
            tasks.create_task(rows.run(), name="rows")
            pool.adjust(frozenset())
            try:
                await decider.run()
            finally:
                self._parts = None
                self._listing.remove()
                await pool.stop()

    @property
    def serving(self) -> bool:
        """Whether a runner takes runs."""
        return any(runner.ready for runner in self._cache.runners.values())

    async def ready(self) -> None:
        """Return once a runner takes runs."""
        while not self.serving:
            self._pool_changed.clear()
            await self._pool_changed.wait()

    async def reload(self, build: str | None = None) -> str | None:
        """Start runners that load the code anew; the old ones drain as new ones become ready.

        Returns None once one is ready, or why the new code does not run, on one line: then the old code goes on
        serving, and what is in the way stays in `problems` until the next reload, or until it is gone after all.
        """
        while (parts := self._parts) is None:
            self._pool_changed.clear()
            await self._pool_changed.wait()
        pool = parts.pool
        pool.renew(build if build is not None else f"{self._settings.build}-{pool.generation + 1}")
        generation = pool.generation
        while True:
            self._pool_changed.clear()
            if generation != pool.generation or any(r.ready for r in self._of_generation(generation)):
                return None
            if self.problems:
                return "; ".join(problem.partition("\n")[0] for problem in self.problems)
            await self._pool_changed.wait()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the newest code does not run, each a sentence and maybe a traceback; empty when all is well."""
        return self._parts.pool.problems if self._parts else ()

    def snapshot(self) -> dict[str, Any]:
        """What goes on, in plain numbers."""
        if (parts := self._parts) is None:
            return {}
        runs = sum(not run.status.finished for run in self._cache.runs.values())
        waiting = len(self._cache.queue.waiting)
        return {
            "runs": {"unfinished": runs, "waiting_for_a_slot": waiting, "ended": dict(self._cache.ended)},
            "runners": [_describe(runner) for runner in self._cache.runners.values() if runner.process.exists],
            "decisions": {str(name): count for name, count in parts.calls.counts.items()},
            "runners_lost": parts.decider.times_lost,
            "restarts": parts.pool.restarts,
            "problems": list(self.problems),
        }

    def _of_generation(self, generation: int) -> list[LocalRunner]:
        return [runner for runner in self._cache.runners.values() if runner.generation == generation]

    def _on_pool(self) -> None:
        """A runner started, became ready, told its troubles or ended."""
        self._wake.set()
        if self._adjusting is None and self._parts is not None:
            # Who waits for the start waits for nothing else.
            later = _POOL_LATER_SECONDS if self._has_served or not self.serving else 0.0
            self._adjusting = asyncio.get_running_loop().call_later(later, self._adjust_pool)

    def _adjust_pool(self) -> None:
        self._adjusting = None
        if (parts := self._parts) is not None:
            parts.pool.adjust(parts.decider.silent)
            agent, deaths = parts.pool.agent, tuple(parts.pool.deaths)
            about = AgentFacts(agent.name, agent.max_runners, agent.generation, deaths)
            self._listing.write(self._cache.runners.values(), about, self.problems)
            self._has_served = self._has_served or self.serving
            self._pool_changed.set()


def _describe(runner: LocalRunner) -> dict[str, Any]:
    return {
        "name": runner.name,
        "pid": runner.process.pid,
        "url": runner.client.url,
        "generation": runner.generation,
        "ready": runner.ready,
        "draining": runner.draining,
        "load": runner.view.load,
        "slots": runner.slots,
        "lag_ms": runner.lag_ms,
    }
