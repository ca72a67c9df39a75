"""The pool of runner processes: starts and drains them as the engine decides, and notices when one ends."""

import asyncio
import logging
import os
import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from relayrun_core.process.restarts import BURST, Restarts, killed_from_outside
from relayrun_core.process.secrets import without_secrets
from relayrun_core.runner_settings import RunnerSettings
from relayrun_operator.engine import AgentView, Demand, decide_pool
from relayrun_operator.local.processes import free_port
from relayrun_operator.local.runner import LocalListener, LocalRunner
from relayrun_operator.local.settings import LocalWorldSettings
from relayrun_operator.local.starter import Starter
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import RunnerClient
from relayrun_operator.loop.watch import watch_runner

logger = logging.getLogger("relayrun.local")

#: How a runner ends itself when a cancelled node did not stop: what it executed beside that is not to blame.
EXIT_NODE_STUCK = 70

#: One runner too many (one that was given up for silence came back) stays for this long.
_SURPLUS_SECONDS = 10.0

_MOST_DEATHS = 10

#: The first runner, which people wait for, starts so long before the others, unless it is ready or has ended earlier.
_ALONE_SECONDS = 0.2

#: Of the settings in the environment of whoever starts us, runners are told their own.
_SETTINGS_OF_RUNNERS = frozenset(f"RELAYRUN_{name.upper()}" for name in RunnerSettings.model_fields)


class LocalPool:
    """The runners of the one local agent. `wake` is called when the engine should look at the pool again."""

    def __init__(
        self,
        settings: LocalWorldSettings,
        database_url: str,
        tasks: asyncio.TaskGroup,
        cache: Cache[LocalRunner],
        starter: Starter,
        *,
        reread: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        count = 1 if settings.debugging else settings.runners
        self.agent = AgentView(
            settings.agent,
            generation="0",
            slots=settings.slots,
            min_runners=count,
            max_runners=count,
            scale_down_delay_seconds=_SURPLUS_SECONDS,
        )
        #: Why the newest code does not run, a sentence each; empty when it does.
        self.problems: tuple[str, ...] = ()
        self.restarts = 0
        #: The last ends that nobody asked for, the newest first: runner, at (ISO 8601) and reason.
        self.deaths: deque[dict[str, str]] = deque(maxlen=_MOST_DEATHS)
        self._settings = settings
        self._database_url = database_url
        self._tasks = tasks
        self._cache = cache
        self._starter = starter
        self._listener = LocalListener(reread, wake)
        self._wake = wake
        self._build = settings.build
        self._started = 0
        self._restarts = Restarts(burst=max(BURST, count))
        self._ready: frozenset[str] = frozenset()
        self._waking: asyncio.TimerHandle | None = None
        self._stopping = False
        self._alone = True
        #: What has been said of the problems, to be said again only once it has changed.
        self._told: set[str] = set()

    @property
    def generation(self) -> int:
        """The number of the newest code."""
        return int(self.agent.generation)

    def renew(self, build: str) -> None:
        """From now on, runners load the code as it is now."""
        self.agent = replace(self.agent, generation=str(self.generation + 1))
        self._build = build
        self._restarts, self.problems = self._restarts.renewed(), ()
        self._wake()

    def adjust(self, silent: frozenset[str]) -> None:
        """Start and drain what the engine wants started and drained. `silent`: runners that are given up."""
        if self._stopping:
            return
        now = time.monotonic()
        self._note_problems()
        demand = self._cache.demand().get(self.agent.name, Demand())
        views = [runner.view for runner in self._cache.runners.values()]
        decision = decide_pool(self.agent, views, silent, demand, now)
        for name in decision.drain:
            self._drain(self._cache.runners[name])
        self._restarts, granted = self._restarts.grant(
            min(decision.start, 1 - self._started) if self._alone else decision.start, now
        )
        for _ in range(granted):
            self._start()
        self._wake_for_what_waits(now)

    async def stop(self) -> None:
        """End all runners: their runs are given back at their next step, and go on when the world does."""
        self._stopping = True
        runners = list(self._cache.runners.values())
        for runner in runners:
            if not runner.draining:
                runner.process.terminate()
        exits = [runner.process.exited for runner in runners if not runner.process.exited.done()]
        if exits:
            await asyncio.wait(exits, timeout=self._settings.stop_seconds)
        for runner in runners:
            runner.process.kill()

    def _note_problems(self) -> None:
        newest = [r for r in self._cache.runners.values() if r.generation == self.generation]
        ready = frozenset(runner.name for runner in newest if runner.ready)
        if ready - self._ready:
            self._restarts, self._alone = self._restarts.became_ready(), False
        self._ready = ready
        if ready:
            self.problems = ()
            self._told.clear()
            return
        # Each once: the runners of one code mostly have the same.
        if found := {_without_addresses(trouble): trouble for runner in newest for trouble in runner.troubles}:
            self.problems = tuple(found.values())
        for key, trouble in found.items():
            if key not in self._told:
                sentence, _, more = trouble.partition("\n")
                logger.error("%s", sentence, extra={"lines": more} if more else None)
        self._told.update(found)

    def _wake_for_what_waits(self, now: float) -> None:
        if self._waking is not None:
            self._waking.cancel()
        at = self._restarts.next_at(now)
        self._waking = None if at is None else asyncio.get_running_loop().call_later(at - now, self._wake)

    def _start(self) -> None:
        settings = self._settings
        self._started += 1
        name = f"{settings.agent}-{self.generation}-{self._started}"
        port = free_port(settings.host)
        process = self._starter.start(
            name,
            self._environment(name, port),
            secrets={"RELAYRUN_DATABASE_URL": self._database_url, "RELAYRUN_TOKEN": settings.token},
            folder=settings.working_folder,
        )
        now = time.monotonic()
        runner = LocalRunner(
            name=name,
            agent=settings.agent,
            generation=self.generation,
            process=process,
            client=RunnerClient(settings.host, port, settings.token),
            slots=settings.slots,
            started_at=now,
            last_heard=now,
            debugged=settings.debugging,
        )
        self._cache.runners[name] = runner
        logger.debug("runner %s is being started, %s", name, runner.client.url)
        self._tasks.create_task(self._live(runner), name=f"runner {name}")

    async def _live(self, runner: LocalRunner) -> None:
        watching = asyncio.create_task(self._watch(runner))
        # In the very turn of the loop in which its death is known: whatever it executed waits for this.
        runner.process.exited.add_done_callback(lambda exited: self._ended(runner, exited.result()))
        try:
            both: list[asyncio.Future[Any]] = [runner.process.exited, watching]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not runner.process.exited.done():
                await watching  # it broke
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, runner: LocalRunner) -> None:
        await runner.process.begun()
        if self._alone:
            asyncio.get_running_loop().call_later(_ALONE_SECONDS, self._start_others)
        await watch_runner(runner, self._cache, self._listener, runner.process.exited)

    def _start_others(self) -> None:
        self._alone = False
        self._wake()

    def _ended(self, runner: LocalRunner, code: int) -> None:
        self._alone = False
        runner.client.close()
        # Only for what was asked of it: author code can drain its process too, and end it with any code.
        stuck = code == EXIT_NODE_STUCK and runner.told_to_stop
        self._cache.remove_runner(runner.name, excused=runner.told_to_drain or stuck)
        if not runner.told_to_drain and not self._stopping:
            self.restarts += 1
            at = datetime.now(UTC).isoformat(timespec="seconds")
            self.deaths.appendleft({"runner": runner.name, "at": at, "reason": _describe_exit(code)})
            logger.warning("runner %s ended unasked: %s", runner.name, _describe_exit(code))
            self._note_end(runner, code)
        self._wake()

    def _note_end(self, runner: LocalRunner, code: int) -> None:
        newest = runner.generation == self.generation
        if not (newest or runner.ready):
            return  # superseded before it served: nobody waits for another one of these
        now = time.monotonic()
        self._restarts = self._restarts.ended(code, was_ready=runner.ready, started_at=runner.started_at, now=now)
        if newest and not (runner.ready or killed_from_outside(code)):
            words = runner.process.last_words
            self.problems = (f"a runner ended before it was ready, {_describe_exit(code)}\n{words}",)

    def _drain(self, runner: LocalRunner) -> None:
        logger.debug("runner %s drains", runner.name)
        runner.draining = runner.told_to_drain = True
        runner.changed(time.monotonic())
        runner.process.terminate()
        asyncio.get_running_loop().call_later(self._settings.drain_seconds, runner.process.kill)

    def _environment(self, name: str, port: int) -> dict[str, str]:
        settings = self._settings
        inherited = {name: value for name, value in without_secrets(os.environ).items() if _is_for_runners(name)}
        return inherited | {
            **settings.environment,
            "RELAYRUN_NAME": name,
            "RELAYRUN_HOST": settings.host,
            "RELAYRUN_PORT": str(port),
            "RELAYRUN_SLOTS": str(settings.slots),
            "RELAYRUN_CONFIG_PATH": str(settings.config_path),
            "RELAYRUN_AGENT": settings.agent,
            "RELAYRUN_BUILD": self._build,
            "PYTHONUNBUFFERED": "1",
        }


def _is_for_runners(variable: str) -> bool:
    name = variable.upper()
    return name in _SETTINGS_OF_RUNNERS or not name.startswith("RELAYRUN_")


def _without_addresses(text: str) -> str:
    return re.sub(r"\b0x[0-9a-f]+", "0x", text)


def _describe_exit(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
