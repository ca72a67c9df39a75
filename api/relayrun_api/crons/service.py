"""Creates, finds, changes and deletes crons on behalf of a caller."""

import asyncio
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from relayrun_api.assistants.lookup import Assistant, AssistantLookup
from relayrun_api.auth import Principal
from relayrun_api.auth.custom import CustomAuth
from relayrun_api.auth.permissions import RequestData
from relayrun_api.crons.models import MAX_PAYLOAD_BYTES, CronCount, CronCreate, CronPatch, CronSearch
from relayrun_api.crons.schedules import next_fire
from relayrun_api.http.errors import AssistantNotFound, BodyTooLarge, CronNotFound, Invalid, NoGraph, TooManyCrons
from relayrun_api.runners.graphs import GraphCatalog
from relayrun_api.runs.models import RunCreate
from relayrun_api.runs.permissions import new_run
from relayrun_api.runs.service import RunService, StartRun
from relayrun_api.runs.specs import spec_of_run
from relayrun_api.threads.service import ThreadRef, refer, visible_thread
from relayrun_core.database import Database
from relayrun_core.db.crons import (
    Cron,
    CronFilter,
    NewCron,
    count_crons,
    create_cron,
    crons_found,
    database_now,
    delete_cron,
    edit_cron,
    get_cron,
)
from relayrun_core.db.listing import Listing
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun


class CronService:
    """Keeps crons. `news` is set when one may be due earlier than the others."""

    def __init__(
        self,
        database: Database,
        catalog: GraphCatalog,
        assistants: AssistantLookup,
        runs: RunService,
        per_owner: int,
        custom: CustomAuth | None = None,
    ) -> None:
        """`per_owner`: how many crons one owner may have; 0: no limit. `custom`: asked whenever one fires."""
        self._database = database
        self._catalog = catalog
        self._assistants = assistants
        self._runs = runs
        self._per_owner = per_owner
        self._custom = custom
        self.news = asyncio.Event()

    async def create(self, principal: Principal, body: CronCreate, thread: ThreadRef | None) -> Cron:
        """A new cron; on somebody else's thread, where an admin may make one, it is theirs.

        Raises ThreadNotFound, TooManyCrons, BodyTooLarge, what `run_of` does, and Invalid for one that never fires.
        """
        owner = principal.owner
        if thread is not None:
            owner = (await visible_thread(self._database, principal, thread)).owner
        assistant = await self._known(principal, body.assistant_id)
        first = next_fire(body.schedule, body.timezone, await database_now(self._database), body.end_time)
        if first is None:
            raise Invalid("The schedule does not fire before `end_time`: set a later one, or none.")
        new = NewCron(
            cron_id=new_run_id(),
            owner=owner,
            **_deputy(principal, assistant),
            assistant_id=assistant.assistant_id,
            thread_id=thread.thread_id if thread else None,
            schedule=body.schedule,
            timezone=body.timezone,
            payload=_bounded(body.payload),
            on_run_completed=None if thread else body.on_run_completed or "delete",
            end_time=body.end_time,
            enabled=body.enabled,
            next_run_at=first if body.enabled else None,
        )
        await self.run_of(new)
        cron = await create_cron(self._database, new, limit=self._per_owner or None)
        if cron is None:
            raise TooManyCrons(
                f"You have {self._per_owner} crons, and may not have more: delete one that you no longer need."
            )
        self.news.set()
        return cron

    async def _known(self, principal: Principal, name: str) -> Assistant:
        """The assistant that a cron is to run; one that there is not is 404 here, whatever it is called."""
        try:
            return await self._assistants.named(principal, name)
        except NoGraph as error:
            raise AssistantNotFound(f"Assistant {name!r} not found: {error.detail}") from error

    async def visible(self, principal: Principal, cron_id: UUID) -> Cron:
        """The cron. Raises CronNotFound, also when it is somebody else's."""
        cron = await get_cron(self._database, cron_id)
        if cron is None or not principal.scope("crons").covers(cron.owner, cron.metadata):
            raise _not_found(cron_id)
        return cron

    async def run_of(self, cron: NewCron) -> NewRun:
        """The run that the cron would start now. Raises what the start of such a run does before it is accepted."""
        thread = ThreadRef(cron.thread_id, str(cron.thread_id), None) if cron.thread_id else None
        principal, payload = await self._decided(cron, thread)
        body = RunCreate.model_validate(payload)
        assistant = await self._assistants.named(principal, body.assistant_id)
        assistant = await self._as_chosen(cron, await self._assistants.kept_at(assistant, cron.agent))
        assistant = await self._assistants.placed(assistant, cron.thread_id)
        spec = spec_of_run(body, assistant, body.stream_mode)
        mark = {"cron_id": str(cron.cron_id)}
        own: dict[str, Any] = {
            "config": {**spec.config, "configurable": {**(spec.config.get("configurable") or {}), **mark}},
            "metadata": {**spec.metadata, **mark},
            "on_completion": cron.on_run_completed or "keep",
        }
        marked = principal.metadata or {} if thread is None else {}
        request = StartRun(assistant, spec.model_copy(update=own), thread, if_not_exists="reject", mark=marked)
        new = await self._runs.new_run(principal, request)
        if thread is not None:
            return new
        # Threads that are kept are found by what their cron is marked with.
        return replace(new, thread_metadata={**cron.metadata, **new.thread_metadata, **mark})

    async def _as_chosen(self, cron: NewCron, assistant: Assistant) -> Assistant:
        """Somebody else's assistant is what it was when it was chosen: else its owner would say what others run."""
        if cron.assistant_version is not None:
            return await self._assistants.at_version(assistant, cron.assistant_version)
        if _is_somebody_elses(assistant, cron.identity):
            raise Invalid(
                f"Assistant {assistant.assistant_id} now belongs to somebody else: to let the cron run it, change "
                "the cron's `input`."
            )
        return assistant

    async def _decided(self, cron: NewCron, thread: ThreadRef | None) -> tuple[Principal, dict[str, Any]]:
        """For whom it runs and what; an author's handlers may have changed their mind since it was made."""
        principal = Principal(cron.owner, admin=cron.as_admin, user=cron.made_by)
        if self._custom is None or cron.made_by is None:
            return principal, cron.payload
        path = {} if thread is None else {"thread_id": str(thread.thread_id)}
        request = RequestData(path, body=deepcopy(cron.payload))
        decided = await self._custom.decide(cron.made_by, new_run(request))
        # On somebody else's thread it is theirs.
        principal = replace(decided, owner=cron.owner)
        if thread is not None and decided.metadata is not None:
            await visible_thread(self._database, principal, thread)
        return principal, request.body

    async def update(self, principal: Principal, cron_id: UUID, body: CronPatch) -> Cron:
        """Change a cron; who says what it runs becomes who it runs as.

        Raises CronNotFound, BodyTooLarge, what `run_of` does where its run is changed, and Invalid for a body that says
        nothing.
        """
        old = await self.visible(principal, cron_id)
        if not body.model_fields_set:
            raise Invalid('Send what to change, for example {"enabled": false}.')
        deputy: dict[str, Any] = {}
        if _takes_over(principal, old, body):
            deputy = _deputy(principal, await self._assistants.named(principal, str(old.assistant_id)))
            await self.run_of(replace(old, payload={**old.payload, **body.payload}, **deputy))
        cron = await edit_cron(self._database, cron_id, lambda cron, now: replace(patched(cron, body, now), **deputy))
        if cron is None:
            raise _not_found(cron_id)
        self.news.set()
        return cron

    async def delete(self, principal: Principal, cron_id: UUID) -> None:
        """Forget a cron; its runs stay. Raises CronNotFound."""
        await self.visible(principal, cron_id)
        if not await delete_cron(self._database, cron_id):
            raise _not_found(cron_id)

    async def search(self, principal: Principal, query: CronSearch) -> Listing[Cron] | None:
        """A page of the caller's crons; None: there are none."""
        wanted = await self._filter(principal, query, query.enabled)
        if wanted is None:
            return None
        return crons_found(
            wanted,
            sort_by=query.sort_by or "created_at",
            descending=query.sort_order == "desc",
            limit=query.limit,
            offset=query.offset,
        )

    async def count(self, database: Database, principal: Principal, query: CronCount) -> int:
        """How many crons the caller has, by connections for searches."""
        wanted = await self._filter(principal, query)
        return 0 if wanted is None else await count_crons(database, wanted)

    async def _filter(self, principal: Principal, query: CronCount, enabled: bool | None = None) -> CronFilter | None:
        """None: nothing can be found."""
        assistant = None
        if query.assistant_id is not None and (assistant := await self._assistant_id(query.assistant_id)) is None:
            return None
        scope = principal.scope("crons")
        thread = None if query.thread_id is None else await refer(self._database, principal, query.thread_id)
        return CronFilter(
            owner=scope.owner,
            any_owner=scope.any_owner,
            visible=scope.visible,
            assistant_id=assistant,
            thread_id=thread.thread_id if thread else None,
            enabled=enabled,
            metadata=query.metadata,
        )

    async def _assistant_id(self, name: str) -> UUID | None:
        try:
            return UUID(name)
        except ValueError:
            graph = await self._catalog.find(name)
            return graph.assistant_id if graph else None


def _takes_over(principal: Principal, cron: Cron, body: CronPatch) -> bool:
    """Whether it runs as whoever makes this change.

    Who only says when somebody else's cron runs must not lend it its own rights; whoever makes its own cron run must
    not have another's. To pause one asks for no rights at all.
    """
    if body.says_what_runs:
        return True
    return principal.owner == cron.owner and not body.only_pauses


def _deputy(principal: Principal, assistant: Assistant) -> dict[str, Any]:
    """Who a cron runs as that this caller made or changed."""
    theirs = _is_somebody_elses(assistant, principal.owner)
    return {
        "runs_as": principal.owner,
        "as_admin": principal.admin,
        "made_by": None if principal.user is None else dict(principal.user),
        "assistant_version": assistant.row.version if theirs else None,
        "agent": assistant.row.agent,
    }


def _is_somebody_elses(assistant: Assistant, identity: str | None) -> bool:
    return not assistant.row.is_default and assistant.row.owner != identity


def patched(cron: Cron, body: CronPatch, now: datetime) -> Cron:
    """The cron as it is after the change. Its next time stays, unless something that decides it changed."""
    metadata = {**cron.metadata, **(body.metadata or {})}
    payload = {**cron.payload, **body.payload, **({"metadata": metadata} if metadata else {})}
    given = body.model_fields_set
    new = replace(
        cron,
        schedule=body.schedule or cron.schedule,
        timezone=body.timezone if "timezone" in given else cron.timezone,
        payload=_bounded(payload),
        on_run_completed=None if cron.thread_id else body.on_run_completed or cron.on_run_completed,
        end_time=body.end_time if "end_time" in given else cron.end_time,
        enabled=cron.enabled if body.enabled is None else body.enabled,
    )
    return replace(new, next_run_at=_next_after_change(cron, new, now))


def _next_after_change(old: Cron, new: Cron, now: datetime) -> datetime | None:
    if not new.enabled:
        return None
    kept = old.next_run_at if (old.schedule, old.timezone) == (new.schedule, new.timezone) else None
    if kept is None:
        return next_fire(new.schedule, new.timezone, now, new.end_time)
    return None if new.end_time is not None and kept > new.end_time else kept


def _bounded(payload: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(payload)) > MAX_PAYLOAD_BYTES:
        raise BodyTooLarge(
            f"A cron's run is larger than {MAX_PAYLOAD_BYTES} bytes, and is stored each time that it fires: keep what "
            "is large elsewhere, and name it in the input."
        )
    return payload


def _not_found(cron_id: UUID) -> CronNotFound:
    return CronNotFound(f"Cron '{cron_id}' not found: look for it with POST /runs/crons/search.")
