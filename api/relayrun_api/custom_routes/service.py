"""Requests for agents' own web apps (`http.app`), passed on to a runner as they come, and its answers as they come.

```
 client ──body, at most 10 MB──▶ API ──────▶ runner's /app ──▶ the author's app, on the graphs' loop
        ◀─────── answer ───────      ◀──────   as it is made; cut when the runner dies, ended when the client leaves
```
When the API goes down, streams of events are cut, as its own are; other answers come to their end.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from relayrun_api.auth import Principal
from relayrun_api.custom_routes.client_body import ClientBody, ClientLeft
from relayrun_api.custom_routes.headers import answer_headers, is_answered, request_headers
from relayrun_api.http.errors import ApiError, Invalid, RunnerLost, RunnerRefused, RunnersAway, TooSlow, Unauthenticated
from relayrun_api.http.shares import Shares
from relayrun_api.http.streamed import CUT
from relayrun_api.runners.client import RunnerEntry, Runners
from relayrun_api.runners.graphs import GraphCatalog
from relayrun_api.runners.transport import RunnerTransport
from relayrun_api.streaming.sse import MEDIA_TYPE
from relayrun_api.tasks import cancelled
from relayrun_core.db.agents import GraphRow
from relayrun_core.runner_requests import CUSTOM_PATH, first_of

logger = logging.getLogger("relayrun.api.custom")

#: Before a request's path: the app of an agent by name, where several agents have one.
AGENTS_PATH = "/agents/"

_CONNECT_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_MOST_CONNECTIONS = 1000
# A stream may be silent for as long as it likes; a machine that is gone shall not be waited for.
_KEEP_ALIVE: list[tuple[int, int, int]] = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


@dataclass(frozen=True)
class CustomApp:
    """An agent's web app; `root` is the part of the path that is not its own, `takes` what it has in our place."""

    agent: str
    graph: str
    open_to_all: bool
    root: str = ""
    takes: tuple[str, ...] = ()


def open_transport() -> httpx.AsyncHTTPTransport:
    """The connections to runners. Not a client: that one would keep one user's cookies for the next."""
    return RunnerTransport(
        verify=False,  # they speak plain HTTP: this only saves the loading of certificates
        trust_env=False,
        limits=httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=50, keepalive_expiry=60),
        socket_options=_KEEP_ALIVE,
    )


class CustomRoutes:
    """Finds apps, and passes requests on to them."""

    def __init__(
        self, catalog: GraphCatalog, runners: Runners, transport: httpx.AsyncHTTPTransport, limit_seconds: float
    ) -> None:
        """`limit_seconds`: how long an app may take to begin its answer."""
        self._catalog = catalog
        self._runners = runners
        self._transport = transport
        self.limit_seconds = limit_seconds
        self._streams: set[Callable[[], None]] = set()
        self._closing = False

    def close(self) -> None:
        """The process is going down: cut off the streams, whose clients come back."""
        self._closing = True
        for cut in tuple(self._streams):
            cut()

    async def find(self, path: str) -> CustomApp | None:
        """The app for this path: an agent's that the path names, else that of the first agent by name."""
        apps = await self._catalog.apps()
        if not apps:
            return None
        if path.startswith(AGENTS_PATH):
            agent = path.removeprefix(AGENTS_PATH).partition("/")[0]
            if agent in apps:
                return _app(apps[agent], AGENTS_PATH + agent)
        return _app(apps[min(apps)])

    async def takes(self, path: str) -> bool:
        """Whether the app for this path has it in our place. No, while nobody knows: such moments need the console."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                app = await self.find(path)
        except (TimeoutError, RunnersAway, psycopg.Error, PoolTimeout):
            return False
        return app is not None and first_of(path) in app.takes

    async def able(self, app: CustomApp) -> list[RunnerEntry]:
        """The runners that may have it. Raises RunnersAway if there is none."""
        if runners := await self._runners.able(app.agent, app.graph):
            return list(runners)
        raise away(app)

    async def pass_on(
        self, app: CustomApp, scope: Scope, receive: Receive, send: Send, user: dict[str, Any] | None
    ) -> None:
        """Answer the request as the app does. A client that leaves ends it.

        Raises, while nothing was answered: RunnersAway, RunnerLost, RunnerRefused, TooSlow, and what ClientBody raises.
        """
        body = ClientBody(scope, receive)
        answer = asyncio.create_task(self._answer(app, scope, body, send, user))
        leaving = asyncio.create_task(body.client_left())
        try:
            await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = not answer.done()
            await cancelled(answer, leaving)
        error = None if answer.cancelled() else answer.exception()
        if error is not None and not left and not isinstance(error, ClientLeft):
            raise error

    async def _answer(
        self, app: CustomApp, scope: Scope, body: ClientBody, send: Send, user: dict[str, Any] | None
    ) -> None:
        headers = request_headers(scope, self._runners.authorization, user, app.root)
        response = await self._begun(app, scope["method"], headers, body)
        try:
            start = {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": answer_headers(response.headers.raw),
            }
            await send(start)
            assert isinstance(response.stream, httpx.AsyncByteStream)
            with self._cut_off_at_the_end(scope, response):
                async for chunk in response.stream:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.TransportError as error:
            # The status is gone out: an answer without its end is what tells the client that it is not whole.
            logger.warning("an answer of agent %s's app is cut: %r", app.agent, error)
            _cut(scope)
            return
        finally:
            await response.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @contextmanager
    def _cut_off_at_the_end(self, scope: Scope, response: httpx.Response) -> Iterator[None]:
        """Do so at the end of the process, with an answer that may have no end of its own."""
        if not response.headers.get("content-type", "").lower().startswith(MEDIA_TYPE):
            yield
            return
        cut = partial(_cut, scope)
        self._streams.add(cut)
        try:
            if self._closing:
                cut()
            yield
        finally:
            self._streams.discard(cut)

    async def _begun(
        self, app: CustomApp, method: str, headers: list[tuple[bytes, bytes]], body: ClientBody
    ) -> httpx.Response:
        """The app's answer, once it begins."""
        for runner in await self.able(app):
            request = httpx.Request(method, runner.url + CUSTOM_PATH, headers=headers, stream=body)
            request.extensions = {"timeout": {"connect": _CONNECT_SECONDS, "pool": _CONNECT_SECONDS}}
            try:
                response = await self._within_limit(request, body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                logger.info("runner %s does not answer: %s", runner.name, error)
                continue
            except httpx.PoolTimeout:
                raise RunnersAway(
                    f"{_MOST_CONNECTIONS} requests to agents' own routes are open: try again in a moment.",
                    headers={"Retry-After": "1"},
                ) from None
            except httpx.LocalProtocolError as error:
                raise Invalid(f"The request cannot be passed on: {error}.") from error
            except httpx.TransportError as error:
                raise RunnerLost(
                    "The runner went away before it answered: it may have done what you requested. Check, and "
                    "send it again."
                ) from error
            if is_answered(response):
                return response
            await response.aclose()
            if response.status_code not in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.NOT_FOUND):
                raise RunnerRefused(f"The runner answered {response.status_code}: look at its log.")
            if body.begun:
                break  # what was read of it cannot be sent twice
        raise away(app)

    async def _within_limit(self, request: httpx.Request, body: ClientBody) -> httpx.Response:
        """The answer's beginning, at most the limit after the client's last byte."""
        try:
            async with asyncio.timeout(self.limit_seconds) as bound:
                body.bound_by(bound, self.limit_seconds)
                return await self._transport.handle_async_request(request)
        except TimeoutError:
            raise self._too_slow(body) from None

    def _too_slow(self, body: ClientBody) -> ApiError:
        if body.waits_for_client:
            return body.too_slow()
        return TooSlow(
            f"The agent's own route did not begin to answer within {self.limit_seconds:g} s: try again, or have it "
            "answer sooner and stream the rest."
        )


def _cut(scope: Scope) -> None:
    if cut := scope.get("state", {}).get(CUT):
        cut()


def _app(row: GraphRow, root: str = "") -> CustomApp:
    return CustomApp(row.agent, row.graph, row.http.open_to_all, root, row.http.takes)


def away(app: CustomApp) -> RunnersAway:
    """The refusal while no runner has the app."""
    return RunnersAway(
        f"No runner of agent {app.agent!r} is available: try again in a moment.", headers={"Retry-After": "1"}
    )


async def user_for(app: CustomApp, connection: HTTPConnection, held: AsyncExitStack) -> dict[str, Any] | None:
    """Who calls, in the words of LangGraph's SDK; None for an app that is open to all. The caller's share is held.

    Raises Unauthenticated, TooManyAtOnce.
    """
    shares: Shares = connection.app.state.shares
    if app.open_to_all:
        await held.enter_async_context(shares.open(None, connection))
        return None
    caller: Principal | None = await connection.app.state.authenticator.authenticate(connection)
    if caller is None:
        raise Unauthenticated("Authenticate: send `Authorization: Bearer` with your token, or your key.")
    await held.enter_async_context(shares.open(caller.owner, connection))
    if caller.user is not None:
        return dict(caller.user)
    identity = caller.owner or ""
    return {
        "identity": identity,
        "display_name": identity,
        "is_authenticated": caller.owner is not None,
        "permissions": [],
    }
