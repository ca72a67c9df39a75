"""Gates at which a test holds an agent, by files in CRASH_FOLDER.

`<call>.log` has a line for each side effect, with the process that had it; `<call>.open` opens the call's gate.
Processes whose pids are in `hold` make no graph before that file is gone. `bomb` ends the process behind the commit of
an edit.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from relayrun_runner.threads import state

_FOLDER = Path(os.environ["CRASH_FOLDER"])
_HOLD, _BOMB = _FOLDER / "hold", _FOLDER / "bomb"
_notify_thread = state.notify_thread


def note(call: str, what: str) -> None:
    """One line in the call's log, in one write."""
    with (_FOLDER / f"{call}.log").open("ab", buffering=0) as log:
        log.write(f"{os.getpid()} {what}\n".encode())


async def gate(call: str) -> None:
    """Wait until the test opens the call's gate."""
    while not (_FOLDER / f"{call}.open").exists():
        await asyncio.sleep(0.01)  # another process opens it


async def hold() -> None:
    """Wait, if this process is to be held."""
    held = False
    while _HOLD.exists() and str(os.getpid()) in _HOLD.read_text().split():
        if not held:
            note("made", "held")
        held = True
        await asyncio.sleep(0.01)  # as above


async def _bombed_notify_thread(*given: Any) -> None:
    if _BOMB.exists():
        _BOMB.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    await _notify_thread(*given)


state.notify_thread = _bombed_notify_thread
