"""The reading thread: an event loop with its own connections, which reads states and histories.

A long history is seconds of decoding. On the graphs' loop that would hold up every run, on the protocol's the
heartbeats. Here it holds up other readers at most: what is asked is done page by page, and between two pages others
have their turn.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import uvloop

from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database
from relayrun_runner.author_errors import is_cancelled
from relayrun_runner.errors import NotReady, QuestionFailed, ReadingSlow
from relayrun_runner.process.exits import BROKE, end_process
from relayrun_runner.process.graphs_loop import answered

log = logging.getLogger("relayrun.runner")

T = TypeVar("T")
Pages = AsyncGenerator[bytes]

# One reader at a time: most of the work is decoding, and one interpreter does one thing at a time.
_CONNECTIONS = 1
_STOP_SECONDS = 2.0


class ReadingThread:
    """Runs in a daemon thread until the block of `serving` ends; its methods are for other threads' loops."""

    def __init__(self, where: str | ConnectionSettings) -> None:
        self._where = where
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reading", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event
        #: For what is awaited on this thread's loop.
        self.database: Database

    @classmethod
    @contextmanager
    def serving(cls, where: str | ConnectionSettings) -> Iterator["ReadingThread"]:
        """Start it, and stop it at the end."""
        reading = cls(where)
        reading._thread.start()
        reading._started.wait()
        try:
            yield reading
        finally:
            reading.stop()

    def stop(self) -> None:
        """Let go of what is being read; nothing can be asked any more."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_SECONDS)

    async def ask(self, question: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Await `question()` there, for so long. Raises NotReady, ReadingSlow, and as `GraphsLoop.ask`.

        What takes longer, or whose asker is cancelled, goes on there to its end: a query is never cancelled in the
        middle.
        """
        if self._loop is None:
            raise NotReady("this runner is stopping: ask another one")

        answering = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answered(question), self._loop))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(answering)
        except TimeoutError as error:
            if answering.done():
                raise  # the question's own
            raise ReadingSlow(f"the database, or this runner, took longer than {seconds:.0f} s for it") from error
        except asyncio.CancelledError as error:
            if is_cancelled(error):
                raise
            raise QuestionFailed("author code cancelled the question's own task") from error

    async def pages(self, make: Callable[[], Pages], seconds: float) -> Pages:
        """What `make()` yields there, each made when the one before was taken, and in so many seconds."""
        made: list[Pages] = []
        one_at_a_time = asyncio.Lock()  # of the reading loop's

        async def following() -> bytes | None:
            async with one_at_a_time:
                if not made:
                    made.append(make())
                return await anext(made[0], None)

        async def close() -> None:
            async with one_at_a_time:  # a page that nobody waits for any more is still made to its end
                for pages in made:
                    await pages.aclose()

        try:
            while (page := await self.ask(following, seconds)) is not None:
                yield page
        finally:
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(close(), self._loop)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException:
            log.exception("the reading thread broke")
            end_process(BROKE, "its reading thread broke")

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with Database.open(self._where, role="runner", min_size=0, max_size=_CONNECTIONS) as self.database:
            self._loop = asyncio.get_running_loop()
            self._started.set()
            await self._stop.wait()


# While runs execute, readers rest so many times as long as they worked. Measured on two cores, one busy with a history:
# without it the first event of a run takes half as long again.
_REST_PER_WORK = 3.0
# Shorter ones cost more than they give.
_LEAST_WORK_SECONDS = 0.001
# What was worked while nobody asked for rest, for example on states, is not made up for.
_MOST_WORK_SECONDS = 0.05


class ReadThrottle:
    """One for all readers of the reading loop, so that more of them do not take more of the time."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self._resting = asyncio.Lock()
        self._rested = 0.0

    async def rest(self) -> None:
        """Call this between two pieces of work."""
        async with self._resting:
            # Of this thread alone: what it waited for was no work.
            worked = min(time.thread_time() - self._rested, _MOST_WORK_SECONDS)
            if self._busy():
                if worked < _LEAST_WORK_SECONDS:
                    return
                await asyncio.sleep(worked * _REST_PER_WORK)
            self._rested = time.thread_time()
