"""Kills the runner that executes a run, again and again, and takes the time until the run's next event.

The graph's steps last 50 ms, so a SIGKILL lands in the middle of one. The graph itself says which process
to kill: every step reports its pid, and a pid that is no runner of the measured server is never touched.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamPart

from bench.cluster import process_in_pod
from bench.parts import processes
from bench.processes import LOG_NAME, end_of
from bench.runs import RunFailedError, sdk_client
from bench.samples import KillSample
from bench.servers import Server

GRAPH = "ticks"
STEPS = 16
STEP_MS = 50
KILL_AFTER_STEPS = (3, 8)
RUN_LIMIT_SECONDS = 60.0
POOL_LIMIT_SECONDS = 60.0


async def measure_kills(server: Server, kills: int, runners: int) -> list[KillSample]:
    """So many runs with one kill each, one after the other, each with the whole pool ready at its start.

    Needs a server that this bench started.
    """
    samples = []
    async with sdk_client(server.url) as client:
        for _ in range(kills):
            await pool_is_ready(server, runners)
            async with asyncio.timeout(RUN_LIMIT_SECONDS):
                samples.append(await _one_kill(client, server))
    return samples


async def pool_is_ready(server: Server, runners: int) -> None:
    """Waits until so many runners are ready. RunFailedError, with the end of the server's log, after a minute."""
    if server.cluster is not None:
        await asyncio.to_thread(server.cluster.pool_is_ready, runners)
        return
    assert server.data is not None, "only of a server that we started"
    try:
        async with asyncio.timeout(POOL_LIMIT_SECONDS):
            while ready_runners(server.data / "runners.json") < runners:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        log = end_of(server.data.parent / LOG_NAME)
        raise RunFailedError(f"no {runners} runners ready within {POOL_LIMIT_SECONDS:.0f} s:\n{log}") from None


def ready_runners(file: Path) -> int:
    """How many runners the world's file calls ready."""
    return sum(1 for runner in listed_runners(file) if runner["ready"])


def listed_runners(file: Path) -> list[dict[str, Any]]:
    """The runners in the world's file."""
    try:
        listed: list[dict[str, Any]] = json.loads(file.read_text())["runners"]
    except (OSError, ValueError):
        return []
    return listed


@dataclass
class _Watched:
    """What was seen of a run: when the runner was killed, when the next attempt spoke, which steps came."""

    steps: list[int] = field(default_factory=list)
    attempts: int = 1
    killed: float | None = None
    next_event: float | None = None
    next_step: float | None = None
    pid: int = 0
    host: str = ""
    killed_host: str = ""

    def see(self, part: StreamPart, now: float) -> None:
        if part.event == "error":
            raise RunFailedError(f"the run failed: {part.data}")
        if part.event == "metadata":
            self.attempts = int(part.data.get("attempt", 1))
            if self.attempts > 1:
                self.next_event = self.next_event or now
        if part.event == "updates" and "tick" in part.data:
            self.steps.append(part.data["tick"]["done"])
            self.pid, self.host = part.data["tick"]["pid"], part.data["tick"]["host"]
            if self.attempts > 1:
                self.next_step = self.next_step or now

    def sample(self) -> KillSample:
        if self.killed is None or self.next_event is None or self.next_step is None:
            raise RunFailedError(f"the run did not go on after the kill: steps {self.steps}, attempt {self.attempts}")
        return KillSample(
            next_event_ms=(self.next_event - self.killed) * 1000,
            next_step_ms=(self.next_step - self.killed) * 1000,
            repeated_steps=len(self.steps) - len(set(self.steps)),
            missing_steps=STEPS - len(set(self.steps)),
            attempts=self.attempts,
        )


async def _one_kill(client: LangGraphClient, server: Server) -> KillSample:
    seen = _Watched()
    kill_after = random.randint(*KILL_AFTER_STEPS)
    stream = client.runs.stream(
        str(uuid.uuid4()),
        GRAPH,
        input={"steps": STEPS, "step_ms": STEP_MS},
        stream_mode="updates",
        if_not_exists="create",
    )
    async with asyncio.TaskGroup() as group:
        async for part in stream:
            seen.see(part, time.perf_counter())
            if len(seen.steps) == kill_after:
                kill_after = -1
                group.create_task(_kill(seen, server))
    if server.cluster is not None:
        await asyncio.to_thread(server.cluster.replace, seen.killed_host)
    return seen.sample()


async def _kill(seen: _Watched, server: Server) -> None:
    pid = seen.pid if server.cluster is None else process_in_pod(processes(server), seen.host)
    seen.killed_host = seen.host
    # Anywhere inside a step, not always just after the event that we saw.
    await asyncio.sleep(random.uniform(0, STEP_MS / 1000))
    refuse_foreign(pid, server)
    seen.killed = time.perf_counter()
    os.kill(pid, signal.SIGKILL)


def refuse_foreign(pid: int, server: Server) -> None:
    """RunFailedError unless the pid is a runner below the server that we started."""
    process = psutil.Process(pid)
    ours = any(parent.pid in (server.pid, *server.also) for parent in process.parents())
    if not ours or "relayrun_runner" not in " ".join(process.cmdline()):
        raise RunFailedError(f"pid {pid} is no runner of the server under measurement: not killed")
