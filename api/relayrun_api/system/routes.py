"""What operators and probes ask."""

from typing import Annotated

from fastapi import Query
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from relayrun_api import __version__
from relayrun_api.auth import MaybeCaller
from relayrun_api.http.answers import Json, problem_response
from relayrun_api.http.errors import RunnersAway
from relayrun_api.http.problems import Problem
from relayrun_api.runs.streams import new_router
from relayrun_api.services import Given
from relayrun_api.system.status import Health, utc_now
from relayrun_core.db.queue import load_by_agent

router = new_router("system", open_to_all=True)


@router.get("/ok")
async def ok(
    services: Given, check_db: Annotated[bool, Query(description="Whether to ask the database too")] = False
) -> Response:
    """Whether the server answers, as the Agent Server says it."""
    if (why := services.starting.why()) is not None:
        return _unwell(Problem(503, RunnersAway.code, why, extra={"ok": False}))
    if check_db and (why := await services.status.why_unready()) is not None:
        return _unwell(Problem(503, "database_away", why, extra={"ok": False}))
    return Json({"ok": True, "services": {}})


@router.get("/info")
async def info() -> Response:
    """What the server is and can, as the Agent Server says it."""
    flags = {"assistants": True, "crons": True, "langsmith": False}
    host = {"kind": "self-hosted", "project_id": None, "host_revision_id": None, "revision_id": None, "tenant_id": None}
    return Json({"version": __version__, "server": "relayrun", "flags": flags, "host": host})


@router.get("/status")
async def status(services: Given, caller: MaybeCaller) -> Response:
    """How each part is; not a probe."""
    found = await services.status.status()
    body = found.body(utc_now(), in_detail=caller is not None and caller.admin)
    shown = {"status": body["status"]} if caller is None else body
    return Json(shown, 503 if found.overall is Health.DOWN else 200)


@router.get("/healthz")
async def healthz(services: Given) -> Response:
    """Whether the process lives, and a new one would be no better."""
    if not (services.database.broken or services.reads.broken):
        return Json({"status": "ok"})
    return _unwell(Problem(503, "pool_broken", "This process reaches the database no more, which answers: restart it."))


@router.get("/readyz")
async def readyz(services: Given) -> Response:
    """Whether requests can be served."""
    if (why := await services.status.why_unready()) is None:
        return Json({"status": "ok"})
    return _unwell(Problem(503, "database_away", why))


@router.get("/metrics")
async def metrics(services: Given) -> Response:
    """Metrics for Prometheus."""
    body = services.metrics.render(await load_by_agent(services.database))
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _unwell(problem: Problem) -> Response:
    return problem_response(problem, None)
