"""Runs without a thread of the caller's: each gets one of its own. And cancelling many runs at once."""

from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.http.answers import Json
from relayrun_api.http.errors import RunNotFound
from relayrun_api.runs.models import Batch, CancelMany, StatelessBackgroundRun, StatelessRun
from relayrun_api.runs.routes import answer_created, requested, start_run
from relayrun_api.runs.streams import Action, new_router, run_ending, run_stream
from relayrun_api.runs.terms import StartTerms
from relayrun_api.runs.views import run_view
from relayrun_api.services import Given
from relayrun_api.threads.service import refer, visible_thread
from relayrun_core.states import CancelAction, RunStatus

router = new_router("stateless runs")

_WAITING = (RunStatus.DELAYED, RunStatus.PENDING)
_STATUSES = {"pending": _WAITING, "running": (RunStatus.RUNNING,), "all": (*_WAITING, RunStatus.RUNNING)}


@router.post("/runs")
async def create(body: StatelessBackgroundRun, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run in the background."""
    return await answer_created(services, caller, await start_run(services, caller, body, None, terms))


@router.post("/runs/stream")
async def stream(body: StatelessRun, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and stream its events."""
    started = await start_run(services, caller, body, None, terms)
    return run_stream(services, started, on_disconnect=body.on_disconnect)


@router.post("/runs/wait")
async def wait(body: StatelessRun, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and wait for its final values."""
    started = await start_run(services, caller, body, None, terms)
    return run_ending(services, started, on_disconnect=body.on_disconnect)


@router.post("/runs/batch")
async def batch(body: Batch, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start several runs in the background: all of them, or none."""
    requests = [await requested(services, caller, run, None) for run in body]
    runs, headers = await services.runs.start_batch(caller, requests, terms)
    return Json([run_view(run, tracebacks=caller.admin) for run in runs], headers=headers)


@router.post("/runs/cancel", status_code=204)
async def cancel_many(
    body: CancelMany, services: Given, caller: Caller, action: Action = CancelAction.INTERRUPT
) -> Response:
    """Cancel runs of a thread, or all of a status."""
    if body.status is not None:
        found = await services.cancels.cancel_of_status(caller, _STATUSES[body.status], action)
    else:
        thread = await refer(services.database, caller, body.thread_id or "")
        if thread.name is not None:
            await visible_thread(services.database, caller, thread)
        found = await services.cancels.cancel_named(caller, thread, body.run_ids or (), action)
    if not found:
        raise RunNotFound("No runs found to cancel: list the thread's runs with their states.")
    return Response(status_code=204)
