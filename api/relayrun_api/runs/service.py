"""Accepts and finds runs on behalf of a caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID, uuid4

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.auth import Principal
from relayrun_api.http.access_log import note_owner
from relayrun_api.http.errors import ApiError, IdempotencyKeyReused, Invalid, RunNotFound
from relayrun_api.http.rate_limit import limit_headers, rate_limited
from relayrun_api.runners.dispatch import Dispatcher
from relayrun_api.runs.specs import ABOUT_ASSISTANTS, Headers, assistant_metadata, with_headers
from relayrun_api.streaming.hub import EventHub, Subscription
from relayrun_api.threads.service import ThreadRef, visible_thread
from relayrun_api.webhooks.rules import WebhookRules
from relayrun_core import errors as core
from relayrun_core.database import Database
from relayrun_core.db.notify import notify
from relayrun_core.db.reconcile import cancelling_runs
from relayrun_core.db.runs import get_run, get_runs
from relayrun_core.db.starting import Answer, Start, Terms, start_run, start_runs
from relayrun_core.db.threads import get_thread
from relayrun_core.ids import new_run_id
from relayrun_core.runner_requests import NO_HTTP
from relayrun_core.runs import NewRun, Run, RunSpec, without_claims

NO_TERMS = Terms()


@dataclass(frozen=True)
class StartRun:
    """A run to be accepted. `thread` None: a thread of its own."""

    assistant: Assistant
    spec: RunSpec
    thread: ThreadRef | None = None
    if_not_exists: Literal["create", "reject"] = "create"
    require_not_interrupted: bool = False
    after_seconds: float = 0.0
    #: What an author's handler would have it marked with, and its thread where that is new.
    mark: Mapping[str, Any] = field(default_factory=dict)


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
    """Starts and finds runs."""

    def __init__(self, database: Database, hub: EventHub, dispatcher: Dispatcher, webhooks: WebhookRules) -> None:
        self._database = database
        self._hub = hub
        self._dispatcher = dispatcher
        self._webhooks = webhooks

    async def start(self, principal: Principal, request: StartRun, terms: Terms = NO_TERMS) -> StartedRun:
        """Accept a run: it is kept, whatever dies. The same request once more is the same run.

        Raises core's refusals, RateLimited and IdempotencyKeyReused.
        """
        new = await self.new_run(principal, request, terms.headers)
        subscription = self._hub.subscribe(new.run_id)
        try:
            new, start = await self._accept(principal, new, terms)
        except BaseException:
            subscription.close()
            raise
        headers = limit_headers(terms.limit, start.allowance)
        if start.answer is Answer.CREATED:
            await self.dispatch(new)
            return StartedRun(new.run_id, new.thread_id, subscription, headers=headers)
        subscription.close()
        if start.answer is Answer.REPLAYED:
            run = await self.visible(principal, start.run_id)
            return self.join(run, {**headers, "Idempotency-Replayed": "true"})
        raise _refusal(start, terms)

    async def start_batch(
        self, principal: Principal, requests: Sequence[StartRun], terms: Terms = NO_TERMS
    ) -> tuple[list[Run], Mapping[str, str]]:
        """Accept all of the runs, each on a thread of its own, or none; as `start` does. The runs come in order."""
        if terms.limit is not None and len(requests) > terms.limit.runs:
            raise Invalid(f"You may start {terms.limit.runs} runs at a time: send a smaller batch.")
        new = [await self.new_run(principal, request, terms.headers) for request in requests]
        start = await start_runs(self._database, new, terms)
        headers = limit_headers(terms.limit, start.allowance)
        match start.answer:
            case Answer.CREATED:
                for run in new:
                    await self.dispatch(run)
            case Answer.REPLAYED:
                headers = {**headers, "Idempotency-Replayed": "true"}
            case _:
                raise _refusal(start, terms)
        found = {run.run_id: run for run in await get_runs(self._database, list(start.run_ids))}
        runs = [found[run_id] for run_id in start.run_ids if run_id in found]
        if not runs or not all([await self._sees(principal, run) for run in runs]):
            raise RunNotFound("The runs that this request started were deleted since: send it with a new key.")
        return [run.as_accepted() for run in runs] if start.answer is Answer.CREATED else runs, headers

    def join(self, run: Run, headers: Mapping[str, str] | None = None) -> StartedRun:
        """A run that was started before, with a subscription to its events."""
        return StartedRun(run.run_id, run.thread_id, self._hub.subscribe(run.run_id), run, headers or {})

    async def dispatch(self, new: NewRun) -> None:
        """Have a run placed that was accepted; for one of later, only what it displaces has to be told now."""
        if new.peers and (accepted := await get_run(self._database, new.run_id)):
            new = replace(new, agent=accepted.agent)  # a run on its thread that was accepted meanwhile decided that
        if not new.delay_seconds:
            await self._dispatcher.created(new)
        elif new.spec.multitask_strategy in ("interrupt", "rollback"):
            for displaced in await cancelling_runs(self._database, new.thread_id):
                await notify(self._database, displaced)
                await self._dispatcher.cancel_requested(displaced)

    async def new_run(self, principal: Principal, request: StartRun, headers: Headers = ()) -> NewRun:
        """The run that would be accepted for this request. Raises Invalid for a webhook that would not be called."""
        if request.spec.webhook is not None:
            self._webhooks.check(request.spec.webhook)
        thread, assistant = request.thread, request.assistant
        defaults = await self._dispatcher.defaults(assistant.row.agent)
        http = assistant.graph.http if assistant.graph else NO_HTTP
        unsaid = {name: value for name, value in defaults.items() if name not in request.spec.model_fields_set}
        about = assistant_metadata(assistant)
        if request.mark:
            unsaid["metadata"] = {**request.spec.metadata, **request.mark, **about}
        if principal.user is not None:
            unsaid["user"] = dict(principal.user)
        return NewRun(
            run_id=new_run_id(),
            thread_id=uuid4() if thread is None else thread.thread_id,
            agent=assistant.row.agent,
            graph=assistant.row.graph,
            spec=_without_claims(with_headers(request.spec, http, headers).model_copy(update=unsaid)),
            owner=principal.owner,
            thread_name=thread.name if thread else None,
            thread_metadata={**request.mark, **about},
            assistant_id=assistant.assistant_id,
            if_not_exists=request.if_not_exists if thread else "create",
            require_not_interrupted=request.require_not_interrupted,
            delay_seconds=request.after_seconds,
            peers=tuple(share.claimant.agent for share in assistant.shares),
        )

    async def _accept(self, principal: Principal, new: NewRun, terms: Terms) -> tuple[NewRun, Start]:
        """The run as it was accepted: on somebody else's thread, where the caller may start one, it is theirs."""
        scope = principal.scope("threads")
        if principal.metadata is not None and (thread := await get_thread(self._database, new.thread_id)):
            if not scope.covers(thread.owner, thread.metadata):
                raise core.ThreadNotFound(
                    f"thread or assistant not found: create thread {new.thread_name or new.thread_id} first"
                )
            # A thread keeps the marks that it was made with.
            about = {name: value for name, value in new.thread_metadata.items() if name in ABOUT_ASSISTANTS}
            new = replace(new, thread_metadata=about)
        try:
            return new, await start_run(self._database, new, terms)
        except core.ThreadNotFound:
            thread = await get_thread(self._database, new.thread_id) if scope.any_owner else None
            if thread is None or thread.owner == new.owner or not scope.covers(thread.owner, thread.metadata):
                raise
            theirs = replace(new, owner=thread.owner)
            return theirs, await start_run(self._database, theirs, terms)

    async def visible(self, principal: Principal, run_id: UUID, thread: ThreadRef | None = None) -> Run:
        """The run. Raises RunNotFound when it does not exist, is somebody else's, of another thread, or rolled back."""
        run = await get_run(self._database, run_id)
        elsewhere = run is not None and thread is not None and thread.thread_id != run.thread_id
        if run is None or elsewhere or run.is_rolled_back or not await self._sees(principal, run):
            if thread is not None and thread.name is not None:
                await visible_thread(self._database, principal, thread)
            raise RunNotFound(
                f"Run not found: {run_id} does not belong to the thread: list its runs with GET /threads/{{id}}/runs."
            )
        note_owner(run.owner)
        return run

    async def _sees(self, principal: Principal, run: Run) -> bool:
        return await sees_run(self._database, principal, run)


async def sees_run(database: Database, principal: Principal, run: Run) -> bool:
    """Whether the run exists for this caller: an author's handler decides that by its thread."""
    scope = principal.scope("threads")
    if scope.visible is None:
        return scope.covers(run.owner, {})
    thread = await get_thread(database, run.thread_id)
    return thread is not None and scope.covers(thread.owner, thread.metadata)


def _without_claims(spec: RunSpec) -> RunSpec:
    config = spec.config
    if configurable := config.get("configurable"):
        config = {**config, "configurable": without_claims(configurable)}
    context = spec.context and (without_claims(spec.context) or None)
    assistants = without_claims(spec.assistant_configurable)
    return spec.model_copy(update={"config": config, "context": context, "assistant_configurable": assistants})


def _refusal(start: Start, terms: Terms) -> ApiError:
    if start.answer is Answer.RATE_LIMITED and terms.limit is not None and start.allowance is not None:
        return rate_limited(terms.limit, start.allowance)
    return IdempotencyKeyReused(
        "This `Idempotency-Key` stands for another request of yours: repeat that one, or send a new key."
    )
