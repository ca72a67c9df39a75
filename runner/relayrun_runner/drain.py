"""The drain: no new runs, the running ones given back at their next step, everybody told, and the process may end."""

import asyncio
import logging

from relayrun_runner.exits import STOPPED, end_process
from relayrun_runner.gate import Gate
from relayrun_runner.runs.board import RunBoard
from relayrun_runner.runs.entries import Entry
from relayrun_runner.runs.watching import Watching

log = logging.getLogger("relayrun.runner")

# After the last run was given back, readers of the watch stream get this long to hear of it.
_TELL_SECONDS = 2.0


async def drain(board: RunBoard, gate: Gate, watching: Watching, grace_seconds: float) -> None:
    """Drain the runner; belongs to the protocol's loop. After the grace the process ends with what still runs."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake(_: Entry | None) -> None:
        loop.call_soon_threadsafe(changed.set)

    board.watch(wake)
    board.start_draining()
    if not gate.is_open:
        end_process(STOPPED, "told to stop before it was ready")
    gate.drain("SIGTERM")
    log.info("draining: no new runs; %s go on elsewhere after their next step", board.active)
    try:
        async with asyncio.timeout(grace_seconds):
            while board.active:
                await changed.wait()
                changed.clear()
    except TimeoutError:
        end_process(STOPPED, f"{board.active} runs did not reach their next step within {grace_seconds:.0f} s")
    finally:
        board.unwatch(wake)
    await watching.closed(_TELL_SECONDS)
