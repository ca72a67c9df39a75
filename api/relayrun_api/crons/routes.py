"""Crons: runs that start by the clock, as the LangGraph Agent Server has them."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from starlette.responses import Response

from relayrun_api.auth import Caller, Reader
from relayrun_api.auth.routing import Router
from relayrun_api.crons import permissions
from relayrun_api.crons.models import Cron, CronCount, CronCreate, CronPatch, CronPreview, CronSearch, Firings
from relayrun_api.crons.schedules import next_fires
from relayrun_api.http import examples as things
from relayrun_api.http.listing import listed
from relayrun_api.http.responses import Json
from relayrun_api.services import Given
from relayrun_api.threads.service import ThreadAt
from relayrun_core.db import crons as db

router = Router("crons")

_CRON_CREATE_EXAMPLES = {
    "workdays at nine": {**things.RUN_BODY, "schedule": "0 9 * * 1-5", "timezone": "Europe/Berlin"},
}

CronAt = Annotated[UUID, Path(description="A cron's id")]


@router.post(
    "/threads/{thread_id}/runs/crons",
    operation_id="create_thread_cron",
    description=(
        "`schedule` is a cron expression of five fields, in the time zone `timezone` (UTC without). The thread has to "
        "exist; where it is busy, `multitask_strategy` decides."
    ),
    permission=permissions.new_cron,
    answer=Cron,
    refusals=(409,),
    examples=_CRON_CREATE_EXAMPLES,
)
async def create_for_thread(thread: ThreadAt, body: CronCreate, services: Given, caller: Caller) -> Response:
    """Create a cron on a thread."""
    return Json(Cron.of(await services.crons.create(caller, body, thread)))


@router.post(
    "/runs/crons",
    operation_id="create_cron",
    description=(
        "`schedule` is a cron expression of five fields, in the time zone `timezone` (UTC without). The threads are "
        "deleted after their runs unless `on_run_completed` is `keep`."
    ),
    permission=permissions.new_cron,
    answer=Cron,
    refusals=(404, 409),
    examples=_CRON_CREATE_EXAMPLES,
)
async def create(body: CronCreate, services: Given, caller: Caller) -> Response:
    """Create a cron, with a new thread for each run."""
    return Json(Cron.of(await services.crons.create(caller, body, None)))


@router.post(
    "/runs/crons/search",
    operation_id="search_crons",
    description="Only your own. `X-Pagination-Next` is the offset of the next page.",
    permission=permissions.search_crons,
    answer=list[Cron],
    examples={"those that fire": {"enabled": True, "sort_by": "next_run_date", "sort_order": "asc"}},
)
async def search(body: CronSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List crons."""
    crons = await services.crons.search(caller, body)
    if crons is None:
        return Json([], headers={"X-Pagination-Total": str(body.offset)})

    async def view(cron: db.Cron) -> Cron | dict[str, Any]:
        whole = Cron.of(cron)
        return {name: getattr(whole, name) for name in body.select} if body.select else whole

    return await listed(services.reads, reader, crons, view)


@router.post(
    "/runs/crons/count",
    operation_id="count_crons",
    description="Returns the number of results of the same search.",
    permission=permissions.search_crons,
    answer=int,
    example=2,
    examples={"of an assistant": {"assistant_id": "agent"}},
)
async def count(body: CronCount, services: Given, caller: Caller, reader: Reader) -> Response:
    """Count crons."""
    async with services.reads.by(reader) as database:
        return Json(await services.crons.count(database, caller, body))


@router.post(
    "/runs/crons/preview",
    operation_id="preview_cron",
    description="Creates no cron. Times are in UTC.",
    permission=permissions.preview,
    answer=Firings,
    examples={"workdays at nine": {"schedule": "0 9 * * 1-5", "timezone": "Europe/Berlin", "limit": 2}},
)
async def preview(body: CronPreview) -> Response:
    """List the next times at which a schedule fires."""
    # A rare day is looked for through years.
    times = await asyncio.to_thread(next_fires, body.schedule, body.timezone, datetime.now(UTC), body.limit)
    return Json(Firings(times))


@router.get(
    "/runs/crons/{cron_id}",
    operation_id="get_cron",
    description="Returns when the cron fires next, when it fired last, and why it could not start a run.",
    permission=permissions.cron("read"),
    answer=Cron,
)
async def get(cron_id: CronAt, services: Given, caller: Caller) -> Response:
    """Get a cron."""
    return Json(Cron.of(await services.crons.visible(caller, cron_id)))


@router.patch(
    "/runs/crons/{cron_id}",
    operation_id="update_cron",
    description="Members that you do not send stay. null removes `end_time`, `timezone` and members of the run.",
    permission=permissions.change_cron,
    answer=Cron,
    examples={"a rest": {"enabled": False}, "another time": {"schedule": "30 8 * * *"}},
)
async def patch(cron_id: CronAt, body: CronPatch, services: Given, caller: Caller) -> Response:
    """Change a cron."""
    return Json(Cron.of(await services.crons.update(caller, cron_id, body)))


@router.delete(
    "/runs/crons/{cron_id}",
    operation_id="delete_cron",
    description="Runs that it started continue.",
    permission=permissions.cron("delete"),
    status_code=204,
)
async def delete(cron_id: CronAt, services: Given, caller: Caller) -> Response:
    """Delete a cron; its runs stay."""
    await services.crons.delete(caller, cron_id)
    return Response(status_code=204)
