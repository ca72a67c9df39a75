"""Calls from the protocol's thread to the graphs' event loop, where the executor and author code run."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, TypeVar
from uuid import UUID

import psycopg
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from relayrun_core.errors import RelayrunError
from relayrun_core.loopback import AGENT
from relayrun_core.runs import Run
from relayrun_core.states import CancelAction
from relayrun_runner.author_errors import error_text, is_cancelled
from relayrun_runner.errors import LoopBusy, NotReady, QuestionFailed
from relayrun_runner.loopback import CALLER

log = logging.getLogger("relayrun.runner")

T = TypeVar("T")
# What the protocol answers in its own way.
_OURS = (RelayrunError, psycopg.Error, HTTPException, ValidationError)


class RunExecutor(Protocol):
    """What the executor offers; every method is called on the graphs' loop."""

    def start(self, run: Run) -> None:
        """Execute a claimed run."""

    def cancel(self, run_id: UUID, attempt: int, action: CancelAction | None) -> None:
        """Stop a run that executes; None abandons it: its row is not touched."""

    def drain(self, reason: str) -> None:
        """Stop every run at its next step and give it back."""


class GraphsLoop:
    """The graphs' event loop, closed until the graphs are loaded. Call its methods from the protocol's loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: RunExecutor | None = None

    def open(self, loop: asyncio.AbstractEventLoop, executor: RunExecutor) -> None:
        """Open it: from now on runs can be executed."""
        self._loop = loop
        self._executor = executor

    def close(self) -> None:
        """Close it: the graphs' loop ends."""
        self._executor = None

    @property
    def is_open(self) -> bool:
        """Whether runs can be executed."""
        return self._executor is not None

    def start(self, run: Run) -> None:
        """Execute a claimed run."""
        loop, executor = self._parts()
        loop.call_soon_threadsafe(executor.start, run)

    def drain(self, reason: str) -> None:
        """Stop every run at its next step."""
        loop, executor = self._parts()
        loop.call_soon_threadsafe(executor.drain, reason)

    async def cancel(self, run_id: UUID, attempt: int, action: CancelAction | None) -> None:
        """Stop a run; returns once the executor has heard it, which a blocked loop may never do."""
        loop, executor = self._parts()
        here = asyncio.get_running_loop()
        heard = asyncio.Event()

        def cancel_there() -> None:
            executor.cancel(run_id, attempt, action)
            here.call_soon_threadsafe(heard.set)

        loop.call_soon_threadsafe(cancel_there)
        await heard.wait()

    async def ask(self, question: Callable[[], Awaitable[T]], timeout_seconds: float) -> T:
        """Await `question()` on the graphs' loop. Raises NotReady, LoopBusy, what of ours the question raises, and
        QuestionFailed for anything else.
        """
        loop, _ = self._parts()
        return await _in_time(asyncio.run_coroutine_threadsafe(answered(question), loop), timeout_seconds)

    @asynccontextmanager
    async def held(self, opening: Callable[[], AbstractAsyncContextManager[T]], seconds: float) -> AsyncIterator[T]:
        """What `opening()` gives, opened on the graphs' loop in so many seconds, and kept open there for the block.

        From any other loop. Raises as `ask`.
        """
        loop, _ = self._parts()
        opened: Future[T] = Future()
        over = asyncio.Event()  # of the graphs' loop

        async def keep() -> None:
            async with opening() as value:
                opened.set_result(value)
                await over.wait()

        def kept(keeping: Future[None]) -> None:
            error = NotReady("the graphs' event loop ends") if keeping.cancelled() else keeping.exception()
            if not opened.done() and error is not None:
                opened.set_exception(error)

        keeping = asyncio.run_coroutine_threadsafe(answered(keep), loop)
        keeping.add_done_callback(kept)
        try:
            yield await _in_time(opened, seconds)
        finally:
            if not opened.done() or opened.cancelled():
                keeping.cancel()
            with suppress(RuntimeError):  # the loop was closed, and all that was open there with it
                loop.call_soon_threadsafe(over.set)

    def _parts(self) -> tuple[asyncio.AbstractEventLoop, RunExecutor]:
        if self._loop is None or self._executor is None:
            raise NotReady("the graphs are not loaded yet, or failed to load: /readyz says why")
        return self._loop, self._executor


async def answered(question: Callable[[], Awaitable[T]]) -> T:
    """Await `question()`; whatever author code raises in it is QuestionFailed, and ends no loop."""
    CALLER.set(AGENT)
    try:
        return await question()
    except _OURS:
        raise
    except BaseException as error:
        if is_cancelled(error):
            raise
        # Put in words here: an exception's methods may be the author's, and must not run on the protocol's loop.
        log.info("a question failed in author code", exc_info=error)
        raise QuestionFailed(error_text(error)) from error


async def _in_time(future: Future[T], seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(future)
    except TimeoutError as error:
        if not future.cancelled():
            raise  # the question's own
        text = f"the graphs' event loop did not answer within {seconds:.0f} s: a node may block it"
        raise LoopBusy(text) from error
    except asyncio.CancelledError as error:
        if is_cancelled(error):
            raise
        raise QuestionFailed("author code cancelled the question's own task") from error
