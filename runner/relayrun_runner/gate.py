"""The way from the protocol's thread to the graphs' loop, where the executor and author code live."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from uuid import UUID

from relayrun_core.runs import Run
from relayrun_core.states import CancelAction
from relayrun_runner.errors import LoopBusy, NotReady

T = TypeVar("T")


class RunExecutor(Protocol):
    """What the executor offers; every method is called on the graphs' loop."""

    def start(self, run: Run) -> None:
        """Execute a claimed run."""

    def cancel(self, run_id: UUID, attempt: int, action: CancelAction | None) -> None:
        """Stop a run that executes; None abandons it: its row is not touched."""

    def drain(self, reason: str) -> None:
        """Stop every run at its next step and give it back."""


class Gate:
    """Closed until the graphs are loaded. Its methods are called from the protocol's loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: RunExecutor | None = None

    def open(self, loop: asyncio.AbstractEventLoop, executor: RunExecutor) -> None:
        """From now on runs can be executed."""
        self._loop = loop
        self._executor = executor

    def close(self) -> None:
        """The graphs' loop ends: nothing goes there any more."""
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

        def tell() -> None:
            executor.cancel(run_id, attempt, action)
            here.call_soon_threadsafe(heard.set)

        loop.call_soon_threadsafe(tell)
        await heard.wait()

    async def ask(self, question: Callable[[], Awaitable[T]], timeout_seconds: float) -> T:
        """Await `question()` on the graphs' loop. Raises NotReady, LoopBusy, and what the question raises."""
        loop, _ = self._parts()

        async def answer() -> T:
            return await question()

        future = asyncio.run_coroutine_threadsafe(answer(), loop)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            if not future.cancelled():
                raise  # the question's own
            text = f"the graphs' event loop did not answer within {timeout_seconds:.0f} s: a node may block it"
            raise LoopBusy(text) from error

    def _parts(self) -> tuple[asyncio.AbstractEventLoop, RunExecutor]:
        if self._loop is None or self._executor is None:
            raise NotReady("the graphs are not loaded yet, or failed to load: /readyz says why")
        return self._loop, self._executor
