"""Bombs inside of the runner, laid by an agent: its code is loaded where the runner's own code runs.

The points are before-claim, after-claim, before-checkpoint, after-checkpoint, after-inner-checkpoint, after-writes,
saved-<step>, between-fence-and-commit, before-finish and after-finish; at broken-finish the runner's own code raises.
What was saved is noted as well: `tried`, `saved` (a task's writes), `checkpoint`. CRASH_CLOCK_AHEAD is by how many
seconds the process's clock is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from witness import STEPS, armed, note, strike

from relayrun_core.database import Database
from relayrun_core.db import claim as claims
from relayrun_runner.attempt import execution
from relayrun_runner.attempt.batches import WRITE
from relayrun_runner.attempt.checkpoints import FencedSaver

_claim, _finish = claims.claim, execution.finish
_put, _put_writes, _execute = FencedSaver.aput, FencedSaver.aput_writes, AsyncConnection.execute
_time_ns = time.time_ns

_AHEAD_NS = int(os.environ.get("CRASH_CLOCK_AHEAD", "0")) * 1_000_000_000

# What a task writes when it is not done: it will begin again.
_UNFINISHED = {"__interrupt__", "__resume__", "__error__"}


async def _bombed_claim(database: Database, wish: claims.Claim) -> claims.Answer:
    strike("before-claim", str(wish.run_id))
    answer = await _claim(database, wish)
    strike("after-claim", str(wish.run_id))
    return answer


async def _bombed_finish(database: Database, run_id: UUID, *more: Any, **named: Any) -> None:
    strike("before-finish", str(run_id))
    if armed("broken-finish", str(run_id)):
        raise RuntimeError("a mistake of ours")
    await _finish(database, run_id, *more, **named)
    strike("after-finish", str(run_id))


async def _bombed_put(self: FencedSaver, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
    run = str(self.run_id)
    inner = bool(config["configurable"].get("checkpoint_ns"))
    if not inner:
        strike("before-checkpoint", run)
    note("tried", self.thread_id, run, attempt=self.attempt)
    saved = await _put(self, config, checkpoint, metadata, new_versions)
    note("checkpoint", self.thread_id, run, attempt=self.attempt, number=metadata.get("step"), inner=inner)
    strike("after-inner-checkpoint" if inner else "after-checkpoint", run)
    return saved


async def _bombed_put_writes(
    self: FencedSaver, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, *more: Any, **named: Any
) -> None:
    run = str(self.run_id)
    note("tried", self.thread_id, run, attempt=self.attempt)
    await _put_writes(self, config, writes, task_id, *more, **named)
    if not _UNFINISHED & {channel for channel, _ in writes}:
        note("saved", self.thread_id, run, attempt=self.attempt, task=task_id)
    strike(f"saved-{STEPS.get(task_id)}", run)
    strike("after-writes", run)


async def _bombed_execute(self: AsyncConnection[Any], query: Any, params: Any = None, **more: Any) -> Any:
    if query != WRITE.encode() or not armed("between-fence-and-commit", str(params[0])):
        return await _execute(self, query, params, **more)
    # The statement is a transaction by itself; in a longer one it has proved its fence and written, and holds on.
    await _execute(self, b"BEGIN")
    cursor = await _execute(self, query, params, **more)
    strike("between-fence-and-commit", str(params[0]))
    await _execute(self, b"COMMIT")
    return cursor


claims.claim = _bombed_claim
execution.finish = _bombed_finish
FencedSaver.aput = _bombed_put
FencedSaver.aput_writes = _bombed_put_writes
AsyncConnection.execute = _bombed_execute
if _AHEAD_NS:
    time.time_ns = lambda: _time_ns() + _AHEAD_NS
