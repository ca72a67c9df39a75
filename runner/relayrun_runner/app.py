"""The protocol's HTTP routes. What they do is in `assign`, `watching`, `state` and `store_calls`."""

import hmac
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import psycopg
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from relayrun_core.custom_routes import CUSTOM_PATH
from relayrun_core.database import is_transient
from relayrun_core.errors import ThreadBusyError, ThreadNotFound
from relayrun_core.runs import NewRun, ObjectRef, Outcome, RunSpec
from relayrun_core.states import CancelAction, Reason
from relayrun_runner.assign import Assigner, Wish
from relayrun_runner.author_asks import parse_question
from relayrun_runner.author_auth import AuthorAuth
from relayrun_runner.board import RunBoard
from relayrun_runner.custom_app import CustomApp
from relayrun_runner.describe import GraphDescriber, GraphQuestion
from relayrun_runner.errors import (
    CheckpointOrder,
    DatabaseAway,
    GraphLoadError,
    InvalidState,
    InvalidStoreCall,
    LoopBusy,
    NoAuth,
    NoCustomApp,
    NotReady,
    StoreCallFailed,
    UnknownGraph,
)
from relayrun_runner.gate import Gate
from relayrun_runner.metrics import RunnerMetrics
from relayrun_runner.readiness import Readiness
from relayrun_runner.state import ThreadStates
from relayrun_runner.state_bodies import HistoryQuestion, StateEdit, StateQuestion, ThreadInMaking
from relayrun_runner.store_calls import StoreCalls, parse_call
from relayrun_runner.watching import Watching

# A long history with subgraphs takes its time; a loop that is blocked for longer is not worth waiting for.
_STATE_TIMEOUT_SECONDS = 30.0

#: Probes and scrapes carry no token; what they answer tells nothing about agents or users.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

_NOT_LOADED = "the graphs are not loaded yet, or failed to load: /readyz says why"

_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    UnknownGraph: (404, "UnknownGraph"),
    NoAuth: (404, "NoAuth"),
    NoCustomApp: (404, "NoCustomApp"),
    ThreadNotFound: (404, "ThreadNotFound"),
    ThreadBusyError: (409, "ThreadBusy"),
    InvalidState: (400, "Invalid"),
    InvalidStoreCall: (400, "Invalid"),
    CheckpointOrder: (409, "Invalid"),
    StoreCallFailed: (500, "Error"),
    GraphLoadError: (503, "NotReady"),
    NotReady: (503, "NotReady"),
    LoopBusy: (504, "LoopBusy"),
    DatabaseAway: (503, "DatabaseAway"),
}


@dataclass
class Protocol:
    """All that the routes need. `states`, `describer` and `store` are None until the graphs are loaded."""

    token: str
    board: RunBoard
    gate: Gate
    readiness: Readiness
    metrics: RunnerMetrics
    watching: Watching
    assigner: Assigner | None = None
    states: ThreadStates | None = None
    describer: GraphDescriber | None = None
    store: StoreCalls | None = None
    #: None: the agent has none, or it does not run yet.
    custom_app: CustomApp | None = None
    #: None: the agent has no authentication of its own, or its code is not loaded yet.
    auth: AuthorAuth | None = None


class NewBody(BaseModel):
    """`create` in the body of a PUT: a run whose payload came with its AgentRun."""

    model_config = ConfigDict(extra="ignore")

    thread_id: UUID
    thread_name: str | None = None
    owner: str | None = None
    agent: str
    spec: RunSpec
    object: ObjectRef | None = None


class FinishBody(BaseModel):
    """The body of POST /runs/{run}/finish."""

    model_config = ConfigDict(extra="ignore")

    reason: Reason
    message: str = ""


class PutBody(BaseModel):
    """The body of PUT /runs/{run}; what else a newer caller sends is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    attempt: int = Field(ge=1, le=2**31 - 1)
    excused: bool = False
    alone: bool = False
    graph: str | None = None
    create: NewBody | None = None

    def wish(self, run_id: UUID) -> Wish:
        """What the assigner is asked for."""
        new = self.create
        create = None
        if new is not None:
            create = NewRun(
                run_id=run_id,
                thread_id=new.thread_id,
                agent=new.agent,
                graph=self.graph or "",
                spec=new.spec,
                owner=new.owner,
                thread_name=new.thread_name,
                object=new.object,
            )
        return Wish(self.attempt, excused=self.excused, alone=self.alone, graph=self.graph, create=create)


def make_app(protocol: Protocol) -> ASGIApp:
    """The ASGI application of one runner."""
    routes, custom = Routes(protocol), CustomRoutes(protocol)
    app = Starlette(
        routes=[
            Route("/runs/{run_id:uuid}", routes.put_run, methods=["PUT"]),
            Route("/runs/{run_id:uuid}", routes.delete_run, methods=["DELETE"]),
            Route("/runs/{run_id:uuid}/finish", routes.finish_run, methods=["POST"]),
            Route("/runs", routes.list_runs, methods=["GET"]),
            Route("/threads/{thread_id:uuid}", routes.create_thread, methods=["POST"]),
            Route("/threads/{thread_id:uuid}/state", routes.get_state, methods=["GET"]),
            Route("/threads/{thread_id:uuid}/state", routes.update_state, methods=["POST"]),
            Route("/threads/{thread_id:uuid}/history", routes.get_history, methods=["GET", "POST"]),
            Route("/store/{call}", routes.call_store, methods=["POST"]),
            Route("/describe", routes.describe, methods=["POST"]),
            Route("/auth", routes.ask_auth, methods=["POST"]),
            Route(CUSTOM_PATH, custom),
            WebSocketRoute(CUSTOM_PATH, custom),
            Route("/healthz", routes.healthz),
            Route("/readyz", routes.readyz),
            Route("/metrics", routes.metrics),
        ],
        exception_handlers={
            HTTPException: _plain_error,
            ValidationError: _invalid,
            psycopg.Error: _refusal,
            Exception: _refusal,
            **dict.fromkeys(_REFUSALS, _refusal),
        },
    )
    return BearerToken(app, protocol.token)


class BearerToken:
    """Answers 401 to whoever does not know the agent's token, except on the open paths."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] in ("http", "websocket"):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            scope["authorized"] = hmac.compare_digest(given, self._expected)
            if not scope["authorized"] and scope["path"] not in OPEN_PATHS:
                answer = _json({"reason": "Unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class CustomRoutes:
    """Hands what the API sends on to the author's own web app."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        app = self._protocol.custom_app
        if app is None and self._protocol.states is None:
            raise NotReady(_NOT_LOADED)
        if app is None:
            raise NoCustomApp("this agent has no http.app")
        await app.serve(scope, receive, send)


class Routes:
    """One method a route."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    async def put_run(self, request: Request) -> Response:
        """Take a run: 202 once its claim has committed."""
        body = PutBody.model_validate_json(await request.body())
        run_id = _id(request, "run_id")
        answer = await self._assigner.put(run_id, body.wish(run_id))
        return _json(answer.body, answer.status)

    async def delete_run(self, request: Request) -> Response:
        """Cancel or abandon one attempt of a run."""
        attempt = TypeAdapter(int).validate_python(request.query_params.get("attempt"))
        action = request.query_params.get("action", "interrupt")
        wish = None if action == "abandon" else TypeAdapter(CancelAction).validate_python(action)
        answer = await self._assigner.delete(_id(request, "run_id"), attempt, wish)
        return _json(answer.body, answer.status)

    async def finish_run(self, request: Request) -> Response:
        """End a run by the world's decision, for a world that has no database."""
        body = FinishBody.model_validate_json(await request.body())
        answer = await self._assigner.finish(_id(request, "run_id"), Outcome(body.reason, body.message))
        return _json(answer.body, answer.status)

    async def list_runs(self, request: Request) -> Response:
        """Every run here, once or, with `watch=1`, as a stream."""
        if request.query_params.get("watch", "") in ("", "0", "false"):
            return _json(self._protocol.watching.list())
        return StreamingResponse(self._protocol.watching.lines(), media_type="application/x-ndjson")

    async def get_state(self, request: Request) -> Response:
        """A thread's state."""
        question = StateQuestion.model_validate(dict(request.query_params))
        states, thread_id = self._states, _id(request, "thread_id")
        return await self._ask(lambda: states.state(thread_id, question))

    async def get_history(self, request: Request) -> Response:
        """A thread's past states."""
        given = dict(request.query_params) if request.method == "GET" else _with_checkpoint(await request.body())
        question = HistoryQuestion.model_validate(given)
        states, thread_id = self._states, _id(request, "thread_id")
        return await self._ask(lambda: states.history(thread_id, question))

    async def update_state(self, request: Request) -> Response:
        """Edit a thread's state."""
        edit = StateEdit.model_validate(_with_checkpoint(await request.body()))
        states, thread_id = self._states, _id(request, "thread_id")
        return await self._ask(lambda: states.update(thread_id, edit))

    async def create_thread(self, request: Request) -> Response:
        """Make a thread with the state it begins with."""
        body = ThreadInMaking.model_validate_json(await request.body())
        states, thread_id = self._states, _id(request, "thread_id")
        return await self._ask(lambda: states.create(thread_id, body))

    async def call_store(self, request: Request) -> Response:
        """What a client asks of the store."""
        call = parse_call(request.path_params["call"], await request.body())
        store = self._store
        return await self._ask(lambda: store.answer(call))

    async def describe(self, request: Request) -> Response:
        """A graph's drawing or schemas."""
        question = GraphQuestion.model_validate_json(await request.body())
        describer = self._describer
        return await self._ask(lambda: describer.answer(question))

    async def ask_auth(self, request: Request) -> Response:
        """Who a caller is, and what the author lets it do."""
        question = parse_question(await request.body())
        auth = self._protocol.auth
        if auth is None:
            if not self._protocol.gate.is_open:
                raise NotReady(_NOT_LOADED)
            raise NoAuth("this agent's langgraph.json has no `auth`")
        return _json(await auth.answer(question))

    async def healthz(self, _: Request) -> Response:
        """Whether this process answers. A blocked node does not make it ill: its other runs would die with it."""
        return _json({"ok": True})

    async def readyz(self, request: Request) -> Response:
        """Whether it can take runs; who knows the token also hears why not."""
        protocol = self._protocol
        ready = protocol.readiness.ready and protocol.gate.is_open and not protocol.board.draining
        body: dict[str, Any] = {"ready": ready, "draining": protocol.board.draining}
        if request.scope["authorized"]:
            troubles = protocol.readiness.troubles()
            body["reasons"] = [
                {"subject": subject, "message": trouble.message, "traceback": trouble.traceback}
                for subject, trouble in troubles.items()
            ]
            body["graphs"] = protocol.watching.list([])["graphs"]
        return _json(body, 200 if ready else 503)

    async def metrics(self, _: Request) -> Response:
        """Prometheus."""
        return Response(self._protocol.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @property
    def _assigner(self) -> Assigner:
        if self._protocol.assigner is None:
            raise NotReady("this runner is starting")
        return self._protocol.assigner

    @property
    def _states(self) -> ThreadStates:
        if self._protocol.states is None:
            raise NotReady(_NOT_LOADED)
        return self._protocol.states

    @property
    def _store(self) -> StoreCalls:
        if self._protocol.store is None:
            raise NotReady(_NOT_LOADED)
        return self._protocol.store

    @property
    def _describer(self) -> GraphDescriber:
        if self._protocol.describer is None:
            raise NotReady(_NOT_LOADED)
        return self._protocol.describer

    async def _ask(self, question: Any) -> Response:
        body = await self._protocol.gate.ask(question, _STATE_TIMEOUT_SECONDS)
        return Response(body, media_type="application/json")


def _id(request: Request, name: str) -> UUID:
    value: UUID = request.path_params[name]
    return value


def _with_checkpoint(body: bytes) -> dict[str, Any]:
    """A body whose `checkpoint` object, the SDK's way to name one, is taken apart."""
    try:
        given = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise HTTPException(400, "the body is not a JSON object")
    checkpoint = given.pop("checkpoint", None)
    return {**(checkpoint if isinstance(checkpoint, dict) else {}), **given}


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")


async def _plain_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"reason": "Invalid", "message": error.detail}, error.status_code)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return _json({"reason": "Invalid", "message": f"{place}: {first['msg']}"}, 400)


async def _refusal(_: Request, error: Exception) -> Response:
    if is_transient(error):
        return _json({"reason": "DatabaseAway", "message": str(error)}, 503)
    for kind, (status, reason) in _REFUSALS.items():
        if isinstance(error, kind):
            return _json({"reason": reason, "message": str(error)}, status)
    return _json({"reason": "Error", "message": f"{type(error).__name__}: {error}"}, 500)
