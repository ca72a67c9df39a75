"""What operators and probes ask."""

from typing import Annotated

from fastapi import Query
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from relayrun_api import __version__
from relayrun_api.auth import Caller, MaybeCaller
from relayrun_api.auth.routing import Router
from relayrun_api.http.errors import Forbidden, RunnersAway
from relayrun_api.http.operation import Text
from relayrun_api.http.problems import Problem
from relayrun_api.http.responses import Json, problem_response
from relayrun_api.services import Given
from relayrun_api.system.models import Alive, Answering, Info, Revision, Status
from relayrun_api.system.status import Health, utc_now
from relayrun_core.db.agents import open_threads
from relayrun_core.db.queue import load_by_agent

router = Router("system", open_to_all=True)
_guarded = Router("agents")


@router.get(
    "/ok",
    operation_id="get_ok",
    description=(
        "In local mode, 503 with the reason until the first runner has registered its graphs. On a cluster, does not "
        "check runners. For probes, use `/healthz` and `/readyz`."
    ),
    answer=Answering,
    refusals=(503,),
)
async def ok(
    services: Given, check_db: Annotated[bool, Query(description="Whether to ask the database too")] = False
) -> Response:
    """Check whether the server answers."""
    if (why := services.starting.why()) is not None:
        return _unwell(Problem(503, RunnersAway.code, why, extra={"ok": False}))
    if check_db and (why := await services.status.why_unready()) is not None:
        return _unwell(Problem(503, "database_away", why, extra={"ok": False}))
    return Json(Answering(ok=True, services={}))


@router.get(
    "/info",
    operation_id="get_info",
    description="Clients read the supported features here.",
    answer=Info,
)
async def info() -> Response:
    """Get the server's version and features."""
    flags = {"assistants": True, "crons": True, "langsmith": False}
    host = {"kind": "self-hosted", "project_id": None, "host_revision_id": None, "revision_id": None, "tenant_id": None}
    return Json(Info(__version__, "relayrun", flags, host))


@router.get(
    "/status",
    operation_id="get_status",
    description="Do not use it for probes. Without a token, you get only `status`. Admins also get hosts and messages.",
    answer=Status,
    also={503: "The database is down."},
    asks_who=True,
)
async def status(services: Given, caller: MaybeCaller) -> Response:
    """Get the status of each component."""
    found = await services.status.status()
    body = found.body(utc_now(), in_detail=caller is not None and caller.admin)
    shown = Status(status=body["status"]) if caller is None else body
    return Json(shown, 503 if found.overall is Health.DOWN else 200)


@_guarded.get(
    "/revisions/{agent_name}",
    operation_id="list_revisions",
    description="For admins. Returns the revisions of an Agent on a cluster, newest first. A local agent has none.",
    permission=lambda _: [],
    answer=list[Revision],
    refusals=(403,),
)
async def revisions(agent_name: str, services: Given, caller: Caller) -> Response:
    """List an Agent's revisions with their open threads."""
    if not caller.admin:
        raise Forbidden("Only admins may list revisions.")
    threads = await open_threads(services.database, agent_name)
    found = [
        Revision(
            name=entry["name"],
            image=entry["image"],
            current=entry["current"],
            created_at=entry["createdAt"],
            replaced_at=entry.get("replacedAt"),
            pinned_until=entry.get("pinnedUntil"),
            runners=entry["runners"],
            open_threads=threads.get(entry["name"], 0),
        )
        for entry in await services.revisions(agent_name)
    ]
    return Json(found)


router.routes += _guarded.routes


@router.get(
    "/healthz",
    operation_id="get_liveness",
    description=("For liveness probes. 503: this process has lost its connections, although the database answers."),
    answer=Alive,
    refusals=(503,),
)
async def healthz(services: Given) -> Response:
    """Check whether the process is alive."""
    if not (services.database.broken or services.reads.broken):
        return Json(Alive("ok"))
    return _unwell(
        Problem(
            503,
            "pool_broken",
            "This process cannot reach the database any more, although the database answers: restart it.",
        )
    )


@router.get(
    "/readyz",
    operation_id="get_readiness",
    description="For readiness probes. 200: the database answers and has the required schema.",
    answer=Alive,
    refusals=(503,),
)
async def readyz(services: Given) -> Response:
    """Check whether the server can serve requests."""
    if (why := await services.status.why_unready()) is None:
        return Json(Alive("ok"))
    return _unwell(Problem(503, "database_away", why))


@router.get(
    "/metrics",
    operation_id="get_metrics",
    description="Counters, gauges and histograms, all with the prefix `relayrun_`.",
    answer=Text(
        "text/plain", "# HELP relayrun_active_threads Threads with a running run\nrelayrun_active_threads 7.0\n"
    ),
    refusals=(503,),
)
async def metrics(services: Given) -> Response:
    """Get metrics for Prometheus."""
    body = services.metrics.render(await load_by_agent(services.database))
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _unwell(problem: Problem) -> Response:
    return problem_response(problem, None)
