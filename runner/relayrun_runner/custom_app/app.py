"""The author's own web app (`http.app` of a `langgraph.json`): loaded with the graphs, served on their loop.

```
 protocol's loop   /app ─▶ serve ─┐  receive, send  ┌──────────── uvicorn
                                  ▼                 │
 graphs' loop                  author's app ◀──▶ one hop for each message
```
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isclass
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relayrun_runner.author_errors import compact, error_text, text_of
from relayrun_runner.config.model import Config
from relayrun_runner.custom_app.asgi import STARTS, Lifespan, answer, scope_of
from relayrun_runner.custom_app.paths import paths_of, taken, warn_of_hidden
from relayrun_runner.errors import CustomAppFailed, NotReady
from relayrun_runner.graphs.imports import ObjectNotFound, load_object

log = logging.getLogger("relayrun.runner")

T = TypeVar("T")

# A stream that is cut is asked for again elsewhere.
_STREAM_SECONDS = 1.0
# Who was cancelled and does not end holds nothing up.
_CANCEL_SECONDS = 1.0


@dataclass(frozen=True)
class CustomAppFailure:
    """Why the app does not work: one sentence, and the author's traceback."""

    message: str
    traceback: str | None


class CustomApp:
    """An agent's web app. `load` belongs before the event loop runs, `running` on the graphs' loop, `serve` and
    `close` on the protocol's.
    """

    def __init__(self, source: str, app: ASGIApp | None, failure: CustomAppFailure | None = None) -> None:
        self.failure = failure
        #: Which of `YIELDING` it has routes for.
        self.takes: tuple[str, ...] = ()
        self._source = source
        self._app = app
        self._state: dict[str, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unanswered: set[asyncio.Future[None]] = set()
        self._answering: set[asyncio.Future[None]] = set()

    @classmethod
    def load(cls, config: Config) -> "CustomApp | None":
        """Import the app, if there is one. One that fails says so in `failure`; nothing is raised."""
        if config.http is None or config.http.app is None:
            return None
        source = config.http.app
        try:
            app = cls(source, _checked(load_object(config, source)))
        except BaseException as error:  # noqa: BLE001 - author code may raise anything; it is reported
            ours = isinstance(error, (ObjectNotFound, CustomAppFailed))
            app = cls(source, None)
            app._fail(f"did not load: {text_of(error) if ours else error_text(error)}", error)
        else:
            paths = paths_of(app._app)
            app.takes = taken(paths)
            warn_of_hidden(paths)
        return app

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Between the app's startup and its shutdown it serves. A startup that fails is in `failure`."""
        if self._app is None:
            yield
            return
        lifespan = Lifespan(self._app, self._state)
        try:
            await lifespan.start()
        except CustomAppFailed as error:
            self._fail(f"did not start: {error}", error.__cause__ or error)
            yield
            return
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self._loop = None
            await lifespan.stop()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that the API hands over. Raises NotReady; HTTPException where it is not the API's."""
        app, loop = self._app, self._loop
        if app is None or loop is None:
            raise NotReady("the app of this agent is not running")
        here = asyncio.get_running_loop()
        try:
            app_scope = scope_of(scope, self._state)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error

        async def receive_there() -> Message:
            return await _from(here, receive())

        async def send_there(message: Message) -> None:
            await _from(here, send_here(message))

        async def send_here(message: Message) -> None:
            if message["type"] in STARTS and call in self._unanswered:
                self._unanswered.discard(call)
                self._answering.add(call)
            await send(message)

        call = asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(answer(app, app_scope, receive_there, send_there), loop)
        )
        self._unanswered.add(call)
        try:
            await call
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not this task, but the call: `close` has cut it, and the server sees an answer without its end.
        finally:
            self._unanswered.discard(call)
            self._answering.discard(call)

    async def close(self, seconds: float) -> None:
        """Let requests be answered, for at most `seconds`: the graphs' loop is about to close. An answer that has begun
        may be a stream without end, and is cut after a moment.
        """
        self._loop = None
        if self._unanswered:
            await asyncio.wait(set(self._unanswered), timeout=max(0.0, seconds))
        left = self._unanswered | self._answering
        if left:
            _, left = await asyncio.wait(left, timeout=_STREAM_SECONDS)
        for call in left:
            call.cancel()
        if left:
            await asyncio.wait(left, timeout=_CANCEL_SECONDS)

    def _fail(self, sentence: str, error: BaseException) -> None:
        message = f"{self._source} {sentence}"
        ours = isinstance(error, (ObjectNotFound, CustomAppFailed))
        self.failure = CustomAppFailure(message, None if ours else compact(error))


async def _from(loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]) -> T:
    async def await_it() -> T:
        return await awaitable

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(await_it(), loop))


def _checked(value: Any) -> ASGIApp:
    if not callable(value) or isclass(value):
        kind = value.__name__ if isclass(value) else type(value).__name__
        raise CustomAppFailed(f"it is {kind}, not an ASGI app: name an object such as Starlette() or FastAPI()")
    app: ASGIApp = value
    return app
