"""Child processes of `dev`: they exit when it dies, and are started again when they die."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from relayrun_core.handover import VARIABLE as SECRETS_FD
from relayrun_core.handover import hand_over
from relayrun_core.restarts import Restarts

# Having run for so long, a process is not in a crash loop.
HEALTHY_SECONDS = 30.0
PARENT_FD = "RELAYRUN_PARENT_FD"


class Lifeline:
    """A pipe whose write end only this process holds: its children see the end of file when it dies."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()

    def close(self) -> None:
        """Let go: every child that still watches exits."""
        os.close(self._write_end)
        os.close(self.read_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Child:
    """One supervised process, in a session of its own: a terminal's Ctrl-C reaches it only through us."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        lifeline: Lifeline,
        *,
        secrets: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._name = name
        self._command = list(command)
        self._environment = {**environment, PARENT_FD: str(lifeline.read_end)}
        self._secrets = dict(secrets)
        self._lifeline = lifeline
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def keep_running(self) -> None:
        """Start it, and start it again whenever it ends, ever more slowly if it does so by itself. Ends with `stop`."""
        restarts = Restarts()
        while not self._stopping.is_set():
            begun = time.monotonic()
            await self._start()
            assert self._process is not None
            code = await self._process.wait()
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

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to end, and make it end after the grace."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_seconds):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _start(self) -> None:
        given = hand_over(self._secrets)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                env={**self._environment, SECRETS_FD: str(given)},
                pass_fds=(self._lifeline.read_end, given),
                start_new_session=True,
            )
        finally:
            os.close(given)


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
