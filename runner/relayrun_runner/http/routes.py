"""What the routes are made of."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from relayrun_core.runner_protocol import AssignRequest, FinishRequest, ReadinessBody, StopAction
from relayrun_core.runner_questions import SELECTED_HEADER
from relayrun_core.runs import Outcome
from relayrun_runner.auth.asks import parse_question
from relayrun_runner.auth.handlers import AuthorAuth
from relayrun_runner.custom_app.app import CustomApp
from relayrun_runner.errors import NoAuth, NotReady
from relayrun_runner.graphs.describe import GraphDescriber, GraphQuestion
from relayrun_runner.http.responses import begun, json_response
from relayrun_runner.process.gate import Gate
from relayrun_runner.process.health import Readiness, Vitals
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.runs.assign import Assigner
from relayrun_runner.runs.board import RunBoard
from relayrun_runner.runs.watching import Watching
from relayrun_runner.store.calls import StoreCalls, parse_call
from relayrun_runner.threads.bodies import HistoryQuestion, StateEdit, StateQuestion, ThreadInMaking
from relayrun_runner.threads.reads import ThreadReads
from relayrun_runner.threads.state import ThreadStates

#: What is said where the graphs are needed before they are there.
NOT_LOADED = "the graphs are not loaded yet, or failed to load: /readyz says why"


@dataclass
class Protocol:
    """All that the routes need. `states`, `reads`, `describer` and `store` are None until the graphs are loaded."""

    token: str
    board: RunBoard
    gate: Gate
    readiness: Readiness
    metrics: RunnerMetrics
    watching: Watching
    vitals: Vitals
    assigner: Assigner | None = None
    states: ThreadStates | None = None
    reads: ThreadReads | None = None
    describer: GraphDescriber | None = None
    store: StoreCalls | None = None
    #: None: the agent has none, or it does not run yet.
    custom_app: CustomApp | None = None
    #: None: the agent has no authentication of its own, or its code is not loaded yet.
    auth: AuthorAuth | None = None


#: Probes and scrapes carry no token; what they answer tells nothing about agents or users.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


class Probes:
    """One method a route."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    async def healthz(self, _: Request) -> Response:
        """Whether this process can execute runs. A blocked node does not make it ill: its other runs would die with it;
        that a loop or a pool has ended does.
        """
        ended = self._protocol.vitals.ended()
        return json_response({"ok": ended is None}, 200 if ended is None else 503)

    async def readyz(self, request: Request) -> Response:
        """Whether it can take runs; who knows the token also hears why not."""
        protocol = self._protocol
        ready = protocol.readiness.ready and protocol.gate.is_open and not protocol.board.draining
        ready = ready and protocol.vitals.ended() is None
        body = ReadinessBody(
            ready=ready,
            draining=protocol.board.draining,
            reasons=protocol.readiness.troubles(),
            graphs=protocol.watching.graphs(),
        )
        told = None if request.scope["authorized"] else {"ready", "draining"}
        return json_response(body.model_dump(include=told), 200 if ready else 503)

    async def metrics(self, _: Request) -> Response:
        """Prometheus."""
        return Response(self._protocol.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


# An edit that makes many steps takes its time; a loop that is blocked for longer is not worth waiting for.
_STATE_TIMEOUT_SECONDS = 30.0


class Routes:
    """One method a route."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    async def put_run(self, request: Request) -> Response:
        """Take a run: 202 once its claim has committed."""
        wanted = AssignRequest.model_validate_json(await request.body())
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
        body = FinishRequest.model_validate_json(await request.body())
        answer = await self._assigner.finish(_id(request, "run_id"), Outcome(body.reason, body.message))
        return json_response(answer.model_dump(), answer.http_status)

    async def list_runs(self, request: Request) -> Response:
        """Every run here, once or, with `watch=1`, as a stream."""
        if request.query_params.get("watch", "") in ("", "0", "false"):
            return json_response(self._protocol.watching.list().model_dump())
        return StreamingResponse(self._protocol.watching.lines(), media_type="application/x-ndjson")

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
                raise NotReady(NOT_LOADED)
            raise NoAuth("this agent's langgraph.json has no `auth`")
        return json_response(await auth.answer(question, self._assigner.threads_named))

    @property
    def _assigner(self) -> Assigner:
        if self._protocol.assigner is None:
            raise NotReady("this runner is starting")
        return self._protocol.assigner

    @property
    def _states(self) -> ThreadStates:
        if self._protocol.states is None:
            raise NotReady(NOT_LOADED)
        return self._protocol.states

    @property
    def _reads(self) -> ThreadReads:
        if self._protocol.reads is None or not self._protocol.gate.is_open:
            raise NotReady(NOT_LOADED)
        return self._protocol.reads

    @property
    def _store(self) -> StoreCalls:
        if self._protocol.store is None:
            raise NotReady(NOT_LOADED)
        return self._protocol.store

    @property
    def _describer(self) -> GraphDescriber:
        if self._protocol.describer is None:
            raise NotReady(NOT_LOADED)
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
