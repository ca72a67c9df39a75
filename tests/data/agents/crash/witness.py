"""What a test sees of an agent's nodes, and how it holds, kills and freezes them.

CRASH_FOLDER has a log of side effects for each thread (`<thread>.log`), and for each run a folder in which the test
puts files: `hold-<node>` keeps a node waiting until it is gone, `bomb-<point>` ends or stops the process there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

_FOLDER = Path(os.environ["CRASH_FOLDER"])
_passed: Counter[tuple[str, str]] = Counter()
#: The step of each task that began in this process.
STEPS: dict[str, str] = {}


def note(what: str, thread: str, run: str, **more: Any) -> None:
    """One line in the thread's log, in one write: lines of two processes do not mix."""
    line = json.dumps({"what": what, "run": run, "pid": os.getpid(), **more}) + "\n"
    with (_FOLDER / f"{thread}.log").open("ab", buffering=0) as log:
        log.write(line.encode())


async def visit(name: str, config: RunnableConfig) -> None:
    """A node's side effect, and whatever the test has in store for it."""
    _begin(name, config)
    while _held(name, config):
        await asyncio.sleep(0.01)  # another process lets it go
    _end(name, config)


def visit_in_thread(name: str, config: RunnableConfig) -> None:
    """The same for a sync node."""
    _begin(name, config)
    while _held(name, config):
        time.sleep(0.01)  # as above
    _end(name, config)


def strike(point: str, run: str) -> None:
    """If the test put a bomb for this point: count, and at the given time send this process the given signal.

    The bomb is gone before it goes off, so that only one process dies of it.
    """
    bomb = _FOLDER / run / f"bomb-{point}"
    if not bomb.exists():
        return
    _passed[run, point] += 1
    name, nth = bomb.read_text().split()
    if _passed[run, point] == int(nth):
        bomb.unlink()
        os.kill(os.getpid(), signal.Signals[name])


def armed(point: str, run: str) -> bool:
    """Whether there is a bomb for this point."""
    return (_FOLDER / run / f"bomb-{point}").exists()


def _begin(name: str, config: RunnableConfig) -> None:
    configurable = config["configurable"]
    STEPS[task_of(config)] = name
    note("begin", configurable["thread_id"], configurable["run_id"], step=name, task=task_of(config))


def _held(name: str, config: RunnableConfig) -> bool:
    return (_FOLDER / config["configurable"]["run_id"] / f"hold-{name}").exists()


def _end(name: str, config: RunnableConfig) -> None:
    configurable = config["configurable"]
    note("end", configurable["thread_id"], configurable["run_id"], step=name, task=task_of(config))
    strike(f"in-{name}", configurable["run_id"])


def task_of(config: RunnableConfig) -> str:
    """The id of the node's task, the innermost of its namespace: the same whenever the task is done again."""
    return str(config["configurable"]["checkpoint_ns"]).rpartition(":")[2]
