"""Runs: accepted, found, cancelled, on behalf of a caller."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID, uuid4

from relayrun_api.auth import Principal
from relayrun_api.errors import ApiError, IdempotencyKeyReused, RunNotFound
from relayrun_api.limits import limit_headers, rate_limited
from relayrun_api.services.dispatch import Dispatcher
from relayrun_api.services.graphs import Assistant
from relayrun_api.services.threads import ThreadRef
from relayrun_api.stream.hub import EventHub, Subscription
from relayrun_core import errors as core
from relayrun_core.database import Database
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, Run, RunSpec
from relayrun_core.states import CancelAction
from relayrun_core.store.runs import get_run, request_cancel
from relayrun_core.store.starting import Answer, Start, Terms, start_run
from relayrun_core.store.threads import get_thread

NO_TERMS = Terms()


@dataclass(frozen=True)
class StartRun:
    """A run to be accepted. `thread` None: a thread of its own."""

    assistant: Assistant
    spec: RunSpec
    thread: ThreadRef | None = None
    if_not_exists: Literal["create", "reject"] = "create"
    require_not_interrupted: bool = False


@dataclass(frozen=True)
class StartedRun:
    """A run and a subscription to its events. `run` None: it was accepted just now, and the subscription is older.

    `headers` say what the start leaves of the caller's limit, and whether it is a replay.
    """

    run_id: UUID
    thread_id: UUID
    subscription: Subscription
    run: Run | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RunService:
    """Starts and cancels runs."""

    def __init__(self, database: Database, hub: EventHub, dispatcher: Dispatcher) -> None:
        self._database = database
        self._hub = hub
        self._dispatcher = dispatcher

    async def start(self, principal: Principal, request: StartRun, terms: Terms = NO_TERMS) -> StartedRun:
        """Accept a run: it is kept, whatever dies. The same request once more is the same run.

        Raises core's refusals, RateLimited and IdempotencyKeyReused.
        """
        new = await self._new_run(principal, request)
        subscription = self._hub.subscribe(new.run_id)
        try:
            new, start = await self._accept(principal, new, terms)
        except BaseException:
            subscription.close()
            raise
        headers = limit_headers(terms.limit, start.allowance)
        if start.answer is Answer.CREATED:
            await self._dispatcher.created(new)
            return StartedRun(new.run_id, new.thread_id, subscription, headers=headers)
        subscription.close()
        if start.answer is Answer.REPLAYED:
            run = await self.visible(principal, start.run_id)
            return self.join(run, {**headers, "Idempotency-Replayed": "true"})
        raise _refusal(start, terms)

    def join(self, run: Run, headers: Mapping[str, str] | None = None) -> StartedRun:
        """A run that was started before, with a subscription to its events."""
        return StartedRun(run.run_id, run.thread_id, self._hub.subscribe(run.run_id), run, headers or {})

    async def _new_run(self, principal: Principal, request: StartRun) -> NewRun:
        thread, graph = request.thread, request.assistant.graph
        defaults = await self._dispatcher.defaults(graph.agent)
        unsaid = {name: value for name, value in defaults.items() if name not in request.spec.model_fields_set}
        return NewRun(
            run_id=new_run_id(),
            thread_id=uuid4() if thread is None else thread.thread_id,
            agent=graph.agent,
            graph=graph.graph,
            spec=request.spec.model_copy(update=unsaid),
            owner=principal.owner,
            thread_name=thread.name if thread else None,
            thread_metadata=assistant_metadata(request.assistant),
            assistant_id=request.assistant.assistant_id,
            if_not_exists=request.if_not_exists if thread else "create",
            require_not_interrupted=request.require_not_interrupted,
        )

    async def _accept(self, principal: Principal, new: NewRun, terms: Terms) -> tuple[NewRun, Start]:
        """The run as it was accepted: on somebody else's thread, where an admin may start one, it is theirs."""
        try:
            return new, await start_run(self._database, new, terms)
        except core.ThreadNotFound:
            thread = await get_thread(self._database, new.thread_id) if principal.admin else None
            if thread is None or thread.owner == new.owner:
                raise
            theirs = replace(new, owner=thread.owner)
            return theirs, await start_run(self._database, theirs, terms)

    async def visible(self, principal: Principal, run_id: UUID, thread: ThreadRef | None = None) -> Run:
        """The run. Raises RunNotFound when it does not exist, is somebody else's or of another thread."""
        run = await get_run(self._database, run_id)
        if run is None or not principal.may_see(run.owner) or (thread and thread.thread_id != run.thread_id):
            raise RunNotFound(f"Run {run_id} does not exist: list the thread's runs with GET /threads/{{id}}/runs.")
        return run

    async def cancel(self, run: Run, action: CancelAction) -> None:
        """Accept a cancel; asking again changes nothing. Raises core's RunFinished."""
        await request_cancel(self._database, run.run_id, action)
        await self._dispatcher.cancel_requested(run.run_id)


def assistant_metadata(assistant: Assistant) -> dict[str, str]:
    """What threads, runs and checkpoints say about who made them; clients search by it."""
    return {"graph_id": assistant.name, "assistant_id": str(assistant.assistant_id)}


def _refusal(start: Start, terms: Terms) -> ApiError:
    if start.answer is Answer.RATE_LIMITED and terms.limit is not None and start.allowance is not None:
        return rate_limited(terms.limit, start.allowance)
    return IdempotencyKeyReused(
        "This `Idempotency-Key` stands for another request of yours: repeat that one, or send a new key."
    )
