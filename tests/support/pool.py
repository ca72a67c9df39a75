"""Runners that stand ready: a test takes one and may kill it, and a fresh one starts meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import count
from types import TracebackType
from typing import Self

from tests.support.runner import Runner, RunnerSetup


class RunnerPool:
    """Keeps `spare` runners ready. All end with it."""

    def __init__(self, setup: RunnerSetup, spare: int = 2, name: str = "runner") -> None:
        self.setup = setup
        self._spare = spare
        self._name = name
        self._numbers = count(1)
        self._starting: list[asyncio.Task[Runner]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._refill()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*self._starting, return_exceptions=True)
        await self._stack.aclose()

    async def take(self) -> Runner:
        """A runner that runs nothing, and that nobody else has."""
        self._refill()
        try:
            return await self._starting.pop(0)
        finally:
            self._refill()

    def give_back(self, runner: Runner) -> None:
        """The runner is alive and idle: the next who takes one gets it."""

        async def same() -> Runner:
            return runner

        self._starting.insert(0, asyncio.create_task(same()))

    def _refill(self) -> None:
        while len(self._starting) < self._spare:
            self._starting.append(asyncio.create_task(self._start()))

    async def _start(self) -> Runner:
        return await self._stack.enter_async_context(Runner(self.setup, f"{self._name}-{next(self._numbers)}"))
