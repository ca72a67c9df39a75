"""Which run, and which node of it, executes here: in tasks, in the threads of nodes, in those that author code starts.

asyncio's tasks and `asyncio.to_thread` take their context along. `loop.run_in_executor`, pools of threads and threads
do not: they are told at the moment at which they are started. What a thread does for another one that has nothing to do
with its start, as one that reads a queue, cannot be known.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, NamedTuple

from langchain_core.runnables.config import var_child_runnable_config

from relayrun_runner.logs.run_log import RunLog


class Place(NamedTuple):
    """Where author code executes."""

    log: RunLog
    node: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """For a line of the process's log."""
        return {**self.log.fields, "node": self.node} if self.node is not None else self.log.fields


#: Set by the execution of a run.
PLACE: ContextVar[Place | None] = ContextVar("relayrun_place", default=None)


_forked = False


def is_forked() -> bool:
    """Whether this is the child of author code that forked: threads that it has not may hold its copies of locks."""
    return _forked


def current_place() -> Place | None:
    """Where the caller executes; None: in no run, or in one whose attempt has ended."""
    place = PLACE.get()
    if place is None or place.log.closed or _forked:
        return None
    node = _current_node()
    return place if node is None else Place(place.log, node)


def _current_node() -> str | None:
    config = var_child_runnable_config.get()
    if not isinstance(config, dict):
        return None
    metadata = config.get("metadata")
    node = metadata.get("langgraph_node") if isinstance(metadata, dict) else None
    return node if isinstance(node, str) else None


def follow_threads() -> None:
    """From now on threads, and jobs of pools of threads, know the place that they are started from."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_here(self: threading.Thread) -> None:
        if (place := current_place()) is not None:
            run = self.run

            def run_there() -> None:
                del self.__dict__["run"]
                PLACE.set(place)
                run()

            self.__dict__["run"] = run_there
        start(self)

    def submit_here(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        # From no place too: a pool's threads know the one that they were started from.
        return submit(self, _in_place, current_place(), fn, *args, **kwargs)

    os.register_at_fork(after_in_child=_leave)
    threading.Thread.start = start_here  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit_here  # type: ignore[method-assign,assignment]


def _leave() -> None:
    global _forked  # noqa: PLW0603 - of this process
    _forked = True


def _in_place(place: Place | None, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = PLACE.set(place)
    try:
        return fn(*args, **kwargs)
    finally:
        PLACE.reset(token)
