"""Runs across threads, for people who look after all of them: a search, numbers, and a run's attempts."""

from uuid import UUID

from starlette.responses import Response

from relayrun_api.auth import Caller, Principal, Reader
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.responses import Json
from relayrun_api.runs import permissions
from relayrun_api.runs.search_models import RunCount, RunFilter, RunPage, RunSearch, RunSummary, encode_cursor
from relayrun_api.services import Given, Services
from relayrun_api.threads import permissions as thread_permissions
from relayrun_api.threads.service import ThreadAt, refer
from relayrun_core.db.run_search import Attempt, RunNumbers, RunQuery, attempts_of, run_numbers, search_runs

router = Router("runs")


@router.post(
    "/runs/search",
    operation_id="search_runs",
    description=(
        "Finds your runs on all threads; for an admin, everybody's. For the next page, send `next` as `cursor`, "
        "until it is null. Runs that start meanwhile change no page."
    ),
    permission=permissions.search_runs,
    answer=RunPage,
    examples={
        "that wait for a person": {"status": ["interrupted"], "limit": 20},
        "of a customer": {"text": "ann", "graph": "agent"},
    },
)
async def search(body: RunSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List runs across threads, newest first."""
    query = await _query(services, caller, body)
    async with services.reads.by(reader) as database:
        found = await search_runs(database, query, limit=body.limit, after=body.after)
    after = None if found.next is None else encode_cursor(found.next)
    return Json(RunPage([RunSummary.of(run) for run in found.runs], after))


@router.post(
    "/runs/stats",
    operation_id="count_runs",
    description=(
        "Counts the runs that ended in the last minutes by outcome, with their waiting and running times. If there "
        "are very many, counts the newest ones."
    ),
    permission=permissions.search_runs,
    answer=RunNumbers,
    example={
        "since": things.BEGAN,
        "bucket_seconds": 60,
        "buckets": [{"at": things.BEGAN, "success": 41, "interrupted": 1, "error": 0, "timeout": 0, "cancelled": 0}],
        "start_ms": {"p50": 12.5, "p95": 40.0},
        "duration_ms": {"p50": 1100.0, "p95": 4200.0},
        "pending": 0,
        "running": 2,
        "delayed": 0,
    },
    examples={"the last hour": {"minutes": 60}, "of a graph": {"minutes": 1440, "graph": "agent"}},
)
async def stats(body: RunCount, services: Given, caller: Caller, reader: Reader) -> Response:
    """Count runs by outcome."""
    query = await _query(services, caller, body)
    async with services.reads.by(reader) as database:
        return Json(await run_numbers(database, query, minutes=body.minutes, bucket_seconds=body.bucket_seconds))


@router.get(
    "/threads/{thread_id}/runs/{run_id}/attempts",
    operation_id="list_attempts",
    description="In order. `ending` is Finished, Drained, Lost, or null while the attempt executes.",
    permission=thread_permissions.READ,
    answer=list[Attempt],
    example=[
        {
            "attempt": 1,
            "runner": "default-6f9c-0",
            "claimed_at": things.BEGAN,
            "ended_at": things.ENDED,
            "ending": "Finished",
        }
    ],
)
async def attempts(thread: ThreadAt, run_id: UUID, services: Given, caller: Caller) -> Response:
    """List a run's attempts."""
    run = await services.runs.visible(caller, run_id, thread)
    return Json(await attempts_of(services.database, run.run_id))


async def _query(services: Services, caller: Principal, body: RunFilter) -> RunQuery:
    scope = caller.scope("threads")
    thread = None if body.thread_id is None else await refer(services.database, caller, body.thread_id)
    return RunQuery(
        owner=body.owner if scope.any_owner else scope.owner,
        any_owner=scope.any_owner,
        status=body.status,
        agent=body.agent,
        graph=body.graph,
        assistant_id=body.assistant_id,
        thread_id=None if thread is None else thread.thread_id,
        created_after=body.created_after,
        created_before=body.created_before,
        text=body.text,
        visible=scope.visible,
    )
