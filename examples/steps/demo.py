"""`make demo`, `relayrun demo`: an agent's run survives the kill -9 of its runner.

Starts `relayrun dev` on this example in a temporary folder, runs it through the HTTP API with the LangGraph SDK,
kills the runner during the parallel part, goes on reading the same stream, approves, and checks what happened.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamPart
from rich.console import Console

from bench.kills import pool_is_ready, refuse_foreign
from bench.parts import processes
from bench.processes import ServerStartError
from bench.runs import RunFailedError
from bench.servers import Server, relayrun_dev
from examples.steps.checks import Effect, Told, checks
from examples.steps.graph import AFTER, BEFORE, IN_PARALLEL, ONCE_APPROVED
from examples.steps.story import Story
from relayrun_core.ids import parse_event_id

STEPS = [*BEFORE, *IN_PARALLEL, *AFTER, "approve", *ONCE_APPROVED]
STEP_SECONDS = 0.4
RUNNERS = 2
# Two of the four parallel steps are finished then, the other two are not.
KILL_AFTER = "fetch_payments"
LIMIT_SECONDS = 90.0


class Demo:
    """One run of the demo against a server that was started for it."""

    def __init__(self, client: LangGraphClient, server: Server, log: Path, story: Story) -> None:
        self._client = client
        self._server = server
        self._log = log
        self._story = story

    async def run(self) -> bool:
        """Whether all that the demo claims was so."""
        thread = await self._client.threads.create()
        self._story.title("a refund: 12 steps, 4 of them in parallel")
        before = Told()
        start = {"step_seconds": STEP_SECONDS, "side_effects": str(self._log)}
        await self._follow(thread["thread_id"], before, input=start)
        await self._expect_status(thread["thread_id"], "interrupted")
        self._story.title("a person approves")
        after = Told()
        await self._follow(thread["thread_id"], after, command={"resume": {"approved": True}})
        await self._expect_status(thread["thread_id"], "idle")
        effects = self._effects()
        self._story.effects(effects, before.killed_pid)
        found = list(checks(before, after, effects, STEPS))
        self._story.verdict(found, before)
        return all(holds for holds, _ in found)

    async def _follow(self, thread_id: str, told: Told, **start: Any) -> None:
        """Starts a run and reads its one stream to the end; kills its runner on the way if that step comes."""
        stream = self._client.runs.stream(thread_id, "refund", stream_mode="updates", **start)
        async with asyncio.TaskGroup() as group:
            async for part in stream:
                self._hear(part, told)
                if part.event == "updates" and KILL_AFTER in part.data:
                    group.create_task(self._kill(told))

    def _hear(self, part: StreamPart, told: Told) -> None:
        now = time.monotonic()
        if part.id:
            told.ids.append(parse_event_id(part.id))
        match part.event:
            case "metadata":
                told.attempts.append(int(part.data.get("attempt", 1)))
                if told.killed_at is not None:
                    told.next_event_at = told.next_event_at or now
                    took = told.seconds_after_kill(now) * 1000
                    self._story.line(f"attempt {told.attempts[-1]}, {took:.0f} ms after the kill", "bold green")
                else:
                    self._story.line(f"attempt {told.attempts[-1]}")
            case "updates":
                for step in part.data:
                    self._hear_step(step, part.data[step], told, now)
            case "error":
                raise RunFailedError(f"the run failed: {part.data}")

    def _hear_step(self, step: str, update: Any, told: Told, now: float) -> None:
        if step == "__interrupt__":
            told.interrupts += 1
            self._story.line(f"waits: {update[0]['value']['question']}", "bold cyan")
            return
        told.steps.append(step)
        if told.next_event_at is not None:
            told.next_step_at = told.next_step_at or now
        elif told.killed_at is not None:
            # Its end was saved just before the kill, and read after it.
            told.in_flight -= {step}
        pids = [effect.pid for effect in self._effects() if effect.step == step]
        self._story.line(f"{step:<15} finished by process {pids[-1] if pids else '?'}")

    async def _kill(self, told: Told) -> None:
        # In the middle of the steps that still run, well after the finished ones were recorded.
        await asyncio.sleep(STEP_SECONDS / 3)
        begun = {effect.step: effect.pid for effect in self._effects()}
        told.in_flight = frozenset(begun) - frozenset(told.steps)
        told.killed_pid = begun[KILL_AFTER]
        refuse_foreign(told.killed_pid, self._server)
        told.killed_at = time.monotonic()
        os.kill(told.killed_pid, signal.SIGKILL)
        cut_short = " and ".join(sorted(told.in_flight))
        self._story.line(f"kill -9 {told.killed_pid} in the middle of {cut_short}", "bold red")

    async def _expect_status(self, thread_id: str, status: str) -> None:
        thread = await self._client.threads.get(thread_id)
        if thread["status"] != status:
            raise RunFailedError(f"the thread should be {status} and is {thread['status']}")

    def _effects(self) -> list[Effect]:
        if not self._log.exists():
            return []
        told = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [Effect(line["step"], line["key"], line["pid"], line["time"]) for line in told]


async def _demo(server: Server, story: Story) -> bool:
    assert server.data is not None
    await pool_is_ready(server, RUNNERS)
    story.line(f"relayrun dev answers on {server.url}: {RUNNERS} runners, its own Postgres")
    async with get_client(url=server.url) as client, asyncio.timeout(LIMIT_SECONDS):
        return await Demo(client, server, server.data.parent / "side-effects.log", story).run()


def main() -> int:
    """0 when all was as it should be, 1 with a sentence when not, 130 after Ctrl-C; the machine is clean each time."""
    story = Story(Console())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    good, left, folder = False, list[psutil.Process](), None
    try:
        story.title("relayrun: a run that survives kill -9")
        with relayrun_dev(RUNNERS, Path(__file__).parent) as server:
            try:
                good = asyncio.run(_demo(server, story))
            finally:
                left, folder = processes(server), server.data
    except (RunFailedError, ServerStartError, httpx.HTTPError, TimeoutError, ExceptionGroup) as error:
        story.wrong(_sentence(error))
    except KeyboardInterrupt:
        story.line("stopped; nothing is left running")
        return 130
    clean = not any(process.is_running() for process in left) and not (folder and folder.parent.exists())
    if good and clean:
        story.line(f"all of it stopped and removed; {story.seconds():.0f} s in all", "bold green")
        return 0
    if good:
        story.wrong(f"left behind: {[process.pid for process in left if process.is_running()]}, {folder}")
    return 1


def _sentence(error: BaseException) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
