"""Ends, stops or harms the process that runs it.

act ─ last

What it started and left behind it tells by pid, in `left`.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from kinds import Odd
from langgraph.graph import END, START, StateGraph

_LONG_SECONDS = 3600


class State(TypedDict, total=False):
    how: str
    done: Annotated[list[str], operator.add]
    left: list[int]


def overflow_c_stack() -> None:
    sys.setrecursionlimit(1 << 30)

    def deeper(_: int) -> int:
        return next(map(deeper, [0]))

    deeper(0)


def raise_in_signal_handler() -> None:
    def handler(_number: int, _frame: Any) -> None:
        raise Odd("in the middle of anything")

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)


def terminate_twice() -> None:
    while True:  # two that come before the first is handled are one
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)


def cancel_all() -> None:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()


def stop_from_thread() -> None:
    loop = asyncio.get_running_loop()
    other = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
    other.start()
    other.join()


#: The process does not survive these.
DEADLY: dict[str, Callable[[], Any]] = {
    "_exit": lambda: os._exit(0),
    "_exit 70": lambda: os._exit(70),  # as a runner does whose cancelled node does not stop
    "segfault": lambda: ctypes.string_at(0),
    "stack": overflow_c_stack,
    "descriptors": lambda: os.closerange(0, 1 << 16),
    "terminate twice": terminate_twice,
    "cancel all": cancel_all,
}


def stay() -> int:
    """A child that stays in its parent's group."""
    child = os.fork()
    if child == 0:
        time.sleep(_LONG_SECONDS)
        os._exit(0)
    return child


def stay_apart() -> int:
    """A child in a session of its own, with all of its parent's descriptors."""
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(_LONG_SECONDS)
        os._exit(0)
    return child


def start_program() -> int:
    return subprocess.Popen(["sleep", str(_LONG_SECONDS)]).pid


def start_program_apart() -> int:
    return subprocess.Popen(["sleep", str(_LONG_SECONDS)], start_new_session=True, close_fds=False).pid


def turn_time_back() -> None:
    time.time = lambda: 0.0
    time.time_ns = lambda: 0


def stop_time() -> None:
    time.monotonic = lambda: 0.0


def spoil_output() -> None:
    sys.stdout.close()
    os.close(1)
    logging.shutdown()


def spoil_environment() -> None:
    os.environ.clear()
    os.chdir("/")


def spoil_hooks() -> None:
    def broken(*_given: Any) -> None:
        raise SystemExit("in a hook")

    asyncio.get_running_loop().set_exception_handler(broken)
    sys.excepthook = threading.excepthook = sys.unraisablehook = broken
    gc.callbacks.append(lambda *_: None)


def ignore_terms() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def stay_in_thread() -> None:
    threading.Thread(target=time.sleep, args=(_LONG_SECONDS,)).start()


#: The process goes on.
HARMFUL: dict[str, Callable[[], Any]] = {
    "fork": stay,
    "fork apart": stay_apart,
    "program": start_program,
    "program apart": start_program_apart,
    "time": turn_time_back,
    "monotonic": stop_time,
    "output": spoil_output,
    "environment": spoil_environment,
    "hooks": spoil_hooks,
    "signals": ignore_terms,
    "thread": stay_in_thread,
    "alarm": raise_in_signal_handler,
    "loop.stop": lambda: asyncio.get_running_loop().stop(),
    "loop.stop from thread": stop_from_thread,
}
#: The process stands still until somebody lets it go on.
FROZEN: dict[str, Callable[[], Any]] = {"stop": lambda: os.kill(os.getpid(), signal.SIGSTOP)}


async def act(state: State) -> dict[str, Any]:
    left = {**DEADLY, **HARMFUL, **FROZEN}[state["how"]]()
    await asyncio.sleep(0.05)
    return {"done": ["act"], "left": [left] if isinstance(left, int) else []}


async def last(state: State) -> dict[str, Any]:
    return {"done": ["last"]}


builder = StateGraph(State)
builder.add_node(act)
builder.add_node(last)
builder.add_edge(START, "act")
builder.add_edge("act", "last")
builder.add_edge("last", END)
graph = builder.compile()
