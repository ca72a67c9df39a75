"""The handlers of the runner protocol's routes."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from relayrun_core.db.identities import Identity
from relayrun_core.rotating import RotatingSecret
from relayrun_core.runner_protocol import (
    AssignRequest,
    FinishRequest,
    KnownBody,
    KnownRequest,
    ReadinessBody,
    StopAction,
)
from relayrun_core.runner_requests import SELECTED_HEADER
from relayrun_core.runs import Outcome
from relayrun_runner.auth.asks import parse_question
from relayrun_runner.auth.handlers import AuthorAuth
from relayrun_runner.custom_app.app import CustomApp
from relayrun_runner.errors import NoAuth, NotReady
from relayrun_runner.graphs.describe import GraphDescriber, GraphQuestion
from relayrun_runner.http.responses import begun, json_response
from relayrun_runner.process.graphs_loop import GraphsLoop
from relayrun_runner.process.health import EssentialParts, Readiness
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.runs.assign import Assigner
from relayrun_runner.runs.table import RunTable
from relayrun_runner.runs.watch import WatchStreams
from relayrun_runner.store.calls import StoreCalls, parse_call
from relayrun_runner.threads.bodies import HistoryQuestion, StateEdit, StateQuestion, ThreadInMaking
from relayrun_runner.threads.reads import ThreadReads
from relayrun_runner.threads.state import ThreadStates

#: What is said where the graphs are needed before they are there.
NOT_LOADED = "the graphs are not loaded yet, or failed to load: /readyz says why"


@dataclass(frozen=True)
class Loaded:
    """What the routes need of the graphs. `custom_app` is None where the agent has none."""

    states: ThreadStates
    reads: ThreadReads
    describer: GraphDescriber
    store: StoreCalls
    custom_app: CustomApp | None


@dataclass
class Parts:
    """All that the routes need. `assigner` and `loaded` are None while the runner starts."""

    tokens: RotatingSecret
    table: RunTable
    graphs_loop: GraphsLoop
    readiness: Readiness
    metrics: RunnerMetrics
    watching: WatchStreams
    essential_parts: EssentialParts
    assigner: Assigner | None = None
    loaded: Loaded | None = None
    #: None: the agent has no authentication of its own, or its code is not loaded yet.
    auth: AuthorAuth | None = None


#: Probes and scrapes carry no token; what they answer tells nothing about agents or users.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


_WAIT_SECONDS = 1.0


class Probes:
    """One method a route."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def healthz(self, _: Request) -> Response:
        """Whether this process can execute runs. A blocked node does not make it ill: its other runs would die with it;
        that a loop or a pool has ended does.
        """
        ended = self._parts.essential_parts.ended()
        return json_response({"ok": ended is None}, 200 if ended is None else 503)

    async def readyz(self, request: Request) -> Response:
        """Whether it can take runs; who knows the token also hears why not, and may `wait` a second for the graphs."""
        parts = self._parts
        if request.scope["authorized"] and "wait" in request.query_params and not parts.table.draining:
            await parts.readiness.loaded(_WAIT_SECONDS)
        ready = parts.readiness.ready and parts.graphs_loop.is_open and not parts.table.draining
        ready = ready and parts.essential_parts.ended() is None
        body = ReadinessBody(
            ready=ready,
            draining=parts.table.draining,
            reasons=parts.readiness.troubles(),
            graphs=parts.watching.graphs(),
        )
        shown = None if request.scope["authorized"] else {"ready", "draining"}
        return json_response(body.model_dump(include=shown), 200 if ready else 503)

    async def metrics(self, _: Request) -> Response:
        """Prometheus."""
        return Response(self._parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


# An edit that makes many steps takes its time; a loop that is blocked for longer is not worth waiting for.
_STATE_TIMEOUT_SECONDS = 30.0


class Routes:
    """One method a route."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def put_run(self, request: Request) -> Response:
        """Take a run: 202 once its claim has committed."""
        wanted = AssignRequest.parse(await request.body())
        answer = await self._assigner.put(_id(request, "run_id"), wanted)
        return json_response(answer.model_dump(), answer.http_status)

    async def delete_run(self, request: Request) -> Response:
        """Cancel or abandon one attempt of a run."""
        attempt = TypeAdapter(int).validate_python(request.query_params.get("attempt"))
        action = TypeAdapter(StopAction).validate_python(request.query_params.get("action", StopAction.INTERRUPT))
        answer = await self._assigner.delete(_id(request, "run_id"), attempt, action.cancel)
        return json_response(answer.model_dump(), answer.http_status)

    async def finish_run(self, request: Request) -> Response:
        """End a run by the world's decision, for a world that has no database."""
        body = FinishRequest.parse(await request.body())
        identity = Identity(body.object, body.spec_hash) if body.object and body.spec_hash else None
        outcome = Outcome(body.reason, body.message)
        answer = await self._assigner.finish(_id(request, "run_id"), outcome, identity)
        return json_response(answer.model_dump(), answer.http_status)

    async def know_run(self, request: Request) -> Response:
        """Whether an AgentRun was there before."""
        body = KnownRequest.parse(await request.body())
        identity = Identity(body.object, body.spec_hash)
        known = await self._assigner.is_known(_id(request, "run_id"), identity)
        return json_response(KnownBody(known=known).model_dump())

    async def list_runs(self, request: Request) -> Response:
        """Every run here, once or, with `watch=1`, as a stream."""
        if request.query_params.get("watch", "") in ("", "0", "false"):
            return json_response(self._parts.watching.list().model_dump())
        return StreamingResponse(self._parts.watching.lines(), media_type="application/x-ndjson")

    async def get_state(self, request: Request) -> Response:
        """A thread's state."""
        question = StateQuestion.model_validate(dict(request.query_params))
        body = await self._reads.state(_id(request, "thread_id"), question)
        return Response(body, media_type="application/json")

    async def get_history(self, request: Request) -> Response:
        """A thread's past states, in parts."""
        given = dict(request.query_params) if request.method == "GET" else _with_checkpoint(await request.body())
        question = HistoryQuestion.model_validate(given)
        selected = {SELECTED_HEADER: "1"} if question.select else {}
        return await begun(self._reads.history(_id(request, "thread_id"), question), selected)

    async def update_state(self, request: Request) -> Response:
        """Edit a thread's state."""
        edit = StateEdit.model_validate(_with_checkpoint(await request.body()))
        states, thread_id = self._loaded.states, _id(request, "thread_id")
        return await self._ask(lambda: states.update(thread_id, edit))

    async def create_thread(self, request: Request) -> Response:
        """Make a thread with the state it begins with."""
        body = ThreadInMaking.model_validate_json(await request.body())
        states, thread_id = self._loaded.states, _id(request, "thread_id")
        return await self._ask(lambda: states.create(thread_id, body))

    async def call_store(self, request: Request) -> Response:
        """What a client asks of the store."""
        call = parse_call(request.path_params["call"], await request.body())
        store = self._loaded.store
        return await self._ask(lambda: store.answer(call))

    async def describe(self, request: Request) -> Response:
        """A graph's drawing or schemas."""
        question = GraphQuestion.model_validate_json(await request.body())
        describer = self._loaded.describer
        return await self._ask(lambda: describer.answer(question))

    async def ask_auth(self, request: Request) -> Response:
        """Who a caller is, and what the author lets it do."""
        question = parse_question(await request.body())
        auth = self._parts.auth
        if auth is None:
            if not self._parts.graphs_loop.is_open:
                raise NotReady(NOT_LOADED)
            raise NoAuth("this agent's langgraph.json has no `auth`")
        return json_response(await auth.answer(question, self._assigner.threads_named))

    @property
    def _assigner(self) -> Assigner:
        if self._parts.assigner is None:
            raise NotReady("this runner is starting")
        return self._parts.assigner

    @property
    def _loaded(self) -> Loaded:
        if self._parts.loaded is None:
            raise NotReady(NOT_LOADED)
        return self._parts.loaded

    @property
    def _reads(self) -> ThreadReads:
        if not self._parts.graphs_loop.is_open:
            raise NotReady(NOT_LOADED)
        return self._loaded.reads

    async def _ask(self, question: Any) -> Response:
        body = await self._parts.graphs_loop.ask(question, _STATE_TIMEOUT_SECONDS)
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
