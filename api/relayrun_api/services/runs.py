"""Runs: accepted, found, cancelled, on behalf of a caller."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from relayrun_api.auth import Principal
from relayrun_api.errors import RunNotFound
from relayrun_api.services.dispatch import Dispatcher
from relayrun_api.services.graphs import Assistant
from relayrun_api.services.threads import ThreadRef
from relayrun_api.stream.hub import EventHub, Subscription
from relayrun_core.database import Database
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, Run, RunSpec
from relayrun_core.states import CancelAction
from relayrun_core.store.runs import create_run, get_run, request_cancel


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
    """An accepted run, and a subscription to its events that began before it."""

    run_id: UUID
    thread_id: UUID
    subscription: Subscription


class RunService:
    """Starts and cancels runs."""

    def __init__(self, database: Database, hub: EventHub, dispatcher: Dispatcher) -> None:
        self._database = database
        self._hub = hub
        self._dispatcher = dispatcher

    async def start(self, principal: Principal, request: StartRun) -> StartedRun:
        """Accept a run: it is kept, whatever dies. Raises core's refusals."""
        run_id = new_run_id()
        thread = request.thread
        thread_id = uuid4() if thread is None else thread.thread_id
        subscription = self._hub.subscribe(run_id)
        graph = request.assistant.graph
        defaults = await self._dispatcher.defaults(graph.agent)
        unsaid = {name: value for name, value in defaults.items() if name not in request.spec.model_fields_set}
        new = NewRun(
            run_id=run_id,
            thread_id=thread_id,
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
        try:
            await create_run(self._database, new)
        except BaseException:
            subscription.close()
            raise
        await self._dispatcher.created(new)
        return StartedRun(run_id, thread_id, subscription)

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

    def subscribe(self, run: Run) -> Subscription:
        """A subscription to the run's events."""
        return self._hub.subscribe(run.run_id)


def assistant_metadata(assistant: Assistant) -> dict[str, str]:
    """What threads, runs and checkpoints say about who made them; clients search by it."""
    return {"graph_id": assistant.name, "assistant_id": str(assistant.assistant_id)}
