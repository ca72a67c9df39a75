"""Crons: runs that start by the clock, as the LangGraph Agent Server has them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.crons.models import CronCount, CronCreate, CronPatch, CronSearch
from relayrun_api.http.answers import Json
from relayrun_api.http.listing import Reader, listed
from relayrun_api.runs.streams import ThreadAt, new_router
from relayrun_api.services import Given
from relayrun_core.db.crons import Cron

router = new_router("crons")

CronAt = Annotated[UUID, Path(description="A cron's id")]


@router.post("/threads/{thread_id}/runs/crons")
async def create_for_thread(thread: ThreadAt, body: CronCreate, services: Given, caller: Caller) -> Response:
    """Start runs on a thread by the clock."""
    return Json(cron_view(await services.crons.create(caller, body, thread)))


@router.post("/runs/crons")
async def create(body: CronCreate, services: Given, caller: Caller) -> Response:
    """Start runs by the clock, each on a new thread."""
    return Json(cron_view(await services.crons.create(caller, body, None)))


@router.post("/runs/crons/search")
async def search(body: CronSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List crons."""
    crons = await services.crons.search(caller, body)
    if crons is None:
        return Json([], headers={"X-Pagination-Total": str(body.offset)})

    async def view(cron: Cron) -> dict[str, Any]:
        whole = cron_view(cron)
        return {name: whole[name] for name in body.select} if body.select else whole

    return await listed(services.reads, reader, crons, view)


@router.post("/runs/crons/count")
async def count(body: CronCount, services: Given, caller: Caller, reader: Reader) -> Response:
    """Count crons."""
    async with services.reads.by(reader) as database:
        return Json(await services.crons.count(database, caller, body))


@router.get("/runs/crons/{cron_id}")
async def get(cron_id: CronAt, services: Given, caller: Caller) -> Response:
    """Get a cron."""
    return Json(cron_view(await services.crons.visible(caller, cron_id)))


@router.patch("/runs/crons/{cron_id}")
async def patch(cron_id: CronAt, body: CronPatch, services: Given, caller: Caller) -> Response:
    """Change a cron."""
    return Json(cron_view(await services.crons.update(caller, cron_id, body)))


@router.delete("/runs/crons/{cron_id}", status_code=204)
async def delete(cron_id: CronAt, services: Given, caller: Caller) -> Response:
    """Forget a cron; its runs stay."""
    await services.crons.delete(caller, cron_id)
    return Response(status_code=204)


def cron_view(cron: Cron) -> dict[str, Any]:
    """A cron; what the Agent Server does not know stands behind what it does."""
    return {
        "cron_id": cron.cron_id,
        "assistant_id": cron.assistant_id,
        "thread_id": cron.thread_id,
        "user_id": cron.owner,
        "end_time": cron.end_time,
        "schedule": cron.schedule,
        "timezone": cron.timezone,
        "payload": cron.payload,
        "next_run_date": cron.next_run_at,
        "metadata": cron.metadata,
        "on_run_completed": cron.on_run_completed,
        "enabled": cron.enabled,
        "created_at": cron.created_at,
        "updated_at": cron.updated_at,
        "last_run_date": cron.last_run_at,
        "last_run_id": cron.last_run_id,
        "refusal": cron.refusal,
    }
