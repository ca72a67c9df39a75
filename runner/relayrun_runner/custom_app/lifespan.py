"""The lifespan protocol of ASGI, for the author's own web app: its startup, its state, its shutdown."""

import asyncio
import logging
from typing import Any

from starlette.types import ASGIApp, Message

from relayrun_runner.endings import class_of, is_cancelled, safely
from relayrun_runner.errors import CustomAppFailed

log = logging.getLogger("relayrun.runner")

_STOP_SECONDS = 5.0


class Lifespan:
    """One app's lifespan, in a task of its own: what it opens is closed by the task that opened it."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._said: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the app has started, or knows no lifespans. Raises CustomAppFailed."""
        self._task = asyncio.create_task(self._run(), name="lifespan of http.app")
        self._told.put_nowait({"type": "lifespan.startup"})
        await self._started.wait()
        if self._said == "lifespan.startup.failed":
            await self._task
            raise CustomAppFailed(self._why()) from self._error

    async def stop(self) -> None:
        """Tell the app to shut down, and wait for it, but not for long."""
        task = self._task
        if task is None or task.done():
            return
        self._told.put_nowait({"type": "lifespan.shutdown"})
        _, pending = await asyncio.wait({task}, timeout=_STOP_SECONDS)
        if pending:
            log.warning("the shutdown of http.app took more than %.0f s and is broken off", _STOP_SECONDS)
            task.cancel()
            await asyncio.wait({task}, timeout=_STOP_SECONDS)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._told.get, self._answered)
        except BaseException as error:
            if is_cancelled(error):
                raise
            self._error = error
            if self._said == "lifespan.startup.complete":
                log.exception("the shutdown of http.app failed")
            elif self._said is None:
                # As servers do: an app that raises at a scope that it does not know has no lifespan.
                log.info("http.app has no lifespan: %s", self._why())
        finally:
            self._started.set()

    def _why(self) -> str:
        error = self._error
        return "its startup says that it failed" if error is None else safely(lambda: repr(error), class_of(error))

    async def _answered(self, message: Message) -> None:
        if message["type"].startswith("lifespan.startup."):
            self._said = message["type"]
            self._started.set()
