"""Event loops and worker threads that author code uses and cannot end.

asyncio hands SystemExit and KeyboardInterrupt of a task or a callback on to whoever runs the loop, which stops with
that, and anybody may call `loop.stop()`. Neither says anything about the other runs of the loop: it goes on. Whoever
awaits such a task gets the exception as any other. A thread cannot be stopped: a node that ignores its cancel is found
here, and its process is ended.
"""

import asyncio
import logging
import os
import traceback
from collections import defaultdict
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, NoReturn, ParamSpec, TypeVar
from uuid import UUID

import uvloop

from relayrun_runner.author_errors import error_text
from relayrun_runner.process.exits import PART_ENDED, end_process

log = logging.getLogger("relayrun.runner")


class AuthorsLoop(uvloop.Loop):
    """An event loop whose default pool of threads author code cannot replace: once theirs closes, every run fails."""

    def set_default_executor(self, executor: Any) -> None:
        """Take the runner's own; of any other only a warning is left."""
        if isinstance(executor, WorkerThreads):
            super().set_default_executor(executor)
        else:
            log.warning(
                "author code may not replace the default executor, which all runs share: pass yours to run_in_executor"
            )


def run_to_end(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run the loop until `main` has ended. Returned is its task, which has its exception, if there is one."""
    task = loop.create_task(main)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        _run(loop)
    return task


def run_for_ever(loop: asyncio.AbstractEventLoop) -> NoReturn:
    """Run the loop as long as the process lives."""
    while True:
        _run(loop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    except BaseException as error:  # noqa: BLE001 - author code may raise anything, in a callback or a task
        if loop.is_closed():
            end_process(PART_ENDED, "one of its event loops was closed")
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.warning("an event loop goes on after %s from %s, line %s", error_text(error), place.filename, place.lineno)


P = ParamSpec("P")
T = TypeVar("T")

#: The run whose code is executing in this context.
CURRENT_RUN: ContextVar[UUID | None] = ContextVar("relayrun_current_run", default=None)

# Sync nodes block their thread for as long as a model takes; the saver's own short jobs need threads beside them.
_THREADS_PER_SLOT = 8
_THREADS_BESIDE = 16


class WorkerThreads(ThreadPoolExecutor):
    """The loop's default executor. It knows which run each job belongs to."""

    def __init__(self, slots: int) -> None:
        self._process = os.getpid()
        super().__init__(max_workers=slots * _THREADS_PER_SLOT + _THREADS_BESIDE, thread_name_prefix="node")
        self._jobs: defaultdict[UUID, set[Future[Any]]] = defaultdict(set)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in a thread, on behalf of the run of the current context."""
        future = super().submit(self._work, fn, *args, **kwargs)
        run_id = CURRENT_RUN.get()
        if run_id is not None:
            jobs = self._jobs[run_id]
            jobs.add(future)
            future.add_done_callback(jobs.discard)
        return future

    def _work(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return fn(*args, **kwargs)
        finally:
            if os.getpid() != self._process:
                os._exit(0)  # the child of a node that forked: nobody waits for its result

    @property
    def closed(self) -> bool:
        """Whether it takes no more jobs."""
        return self._shutdown

    async def idle(self, run_id: UUID) -> None:
        """Wait until no thread works for the run; jobs of it that have not begun are called off."""
        jobs = [asyncio.wrap_future(job) for job in list(self._jobs.get(run_id, ())) if not job.cancel()]
        if jobs:
            await asyncio.wait(jobs)

    def forget(self, run_id: UUID) -> None:
        """The run has ended."""
        self._jobs.pop(run_id, None)
