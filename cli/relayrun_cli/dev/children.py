"""The API process of `dev`: it exits when dev dies, and is started again when it dies."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping

from relayrun_core.process.restarts import Restarts
from relayrun_operator.local.processes import SupervisedProcess
from relayrun_operator.local.starter import Starter

# Having run for so long, a process is not in a crash loop.
HEALTHY_SECONDS = 30.0


class Child:
    """One supervised process, in a process group of its own: a terminal's Ctrl-C reaches it only through us."""

    def __init__(
        self,
        name: str,
        starter: Starter,
        environment: Mapping[str, str],
        *,
        secrets: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        """`name` is what people call it; what it prints is passed on as it is."""
        self._name = name
        self._starter = starter
        self._environment = environment
        self._secrets = secrets
        self._say = say
        self._process: SupervisedProcess | None = None
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()

    async def keep_running(self) -> None:
        """Start it, and start it again whenever it ends, ever more slowly if it does so by itself. Ends with `stop`."""
        restarts = Restarts()
        while not self._stopping.is_set():
            begun = time.monotonic()
            self._process = self._starter.start("", self._environment, secrets=self._secrets, folder=None)
            self._started.set()
            await asyncio.wait([self._process.exited])
            code = self._process.exited.result()
            if self._stopping.is_set():
                return
            self._say(f"The {self._name} {how_it_ended(code)}; starting it again.")
            now = time.monotonic()
            healthy = now - begun > HEALTHY_SECONDS
            restarts = restarts.became_ready() if healthy else restarts
            restarts = restarts.ended(code, was_ready=healthy, started_at=begun, now=now)
            while (at := restarts.next_at(time.monotonic())) is not None and not self._stopping.is_set():
                await _wait(self._stopping, at - time.monotonic())
                restarts, _ = restarts.grant(1, time.monotonic())

    async def begun(self) -> None:
        """Return once its first process exists, or will never do so."""
        await self._started.wait()
        if self._process is not None:
            await self._process.begun()

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to end, and make it end after the grace."""
        self._stopping.set()
        if self._process is None:
            return
        self._process.terminate()
        if not await self._process.wait(grace_seconds):
            self._process.kill()
            await asyncio.wait([self._process.exited])


def how_it_ended(code: int) -> str:
    """In words: `exited with 1`, `was ended by SIGKILL`."""
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
