"""Runs without a thread of the caller's: each gets one of its own. And cancelling many runs at once."""

from typing import Any

from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.errors import RunNotFound
from relayrun_api.http.responses import Json
from relayrun_api.runs import permissions
from relayrun_api.runs.models import Batch, CancelMany, Run, StatelessBackgroundRun, StatelessRun, Values
from relayrun_api.runs.routes import EVENTS, STREAM_EXAMPLE, WAITS, answer_created, requested, start_run
from relayrun_api.runs.streams import Action, run_ending, run_stream
from relayrun_api.runs.terms import StartTerms
from relayrun_api.services import Given
from relayrun_api.threads.service import refer, visible_thread
from relayrun_core.states import CancelAction, RunStatus

router = Router("stateless runs")

_EXAMPLES: dict[str, Any] = {
    "input": {**things.RUN_BODY, "stream_mode": ["updates", "messages-tuple"], "metadata": things.METADATA},
    "to be kept": {**things.RUN_BODY, "on_completion": "keep"},
}
_STATELESS = "The run gets a new thread, which is deleted later unless `on_completion` is `keep`."

_WAITING = (RunStatus.DELAYED, RunStatus.PENDING)
_STATUSES = {"pending": _WAITING, "running": (RunStatus.RUNNING,), "all": (*_WAITING, RunStatus.RUNNING)}


@router.post(
    "/runs",
    operation_id="create_stateless_run",
    description=_STATELESS,
    permission=permissions.new_run,
    answer=Run,
    examples=_EXAMPLES,
)
async def create(body: StatelessBackgroundRun, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run in the background."""
    return await answer_created(services, caller, await start_run(services, caller, body, None, terms))


@router.post(
    "/runs/stream",
    operation_id="stream_stateless_run",
    description=f"{_STATELESS} {EVENTS}",
    permission=permissions.new_run,
    answer=STREAM_EXAMPLE,
    examples=_EXAMPLES,
)
async def stream(body: StatelessRun, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and stream its events."""
    started = await start_run(services, caller, body, None, terms)
    return run_stream(services, started, on_disconnect=body.on_disconnect)


@router.post(
    "/runs/wait",
    operation_id="wait_for_stateless_run",
    description=f"{_STATELESS} {WAITS}",
    permission=permissions.new_run,
    answer=Values,
    examples=_EXAMPLES,
)
async def wait(body: StatelessRun, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and wait for its final values."""
    started = await start_run(services, caller, body, None, terms)
    return run_ending(services, started, on_disconnect=body.on_disconnect)


@router.post(
    "/runs/batch",
    operation_id="create_runs",
    description="At most 100, each on its own thread. A batch of n runs counts n in the rate limit.",
    permission=permissions.new_runs,
    answer=list[Run],
    examples={"two runs": [things.RUN_BODY, {**things.RUN_BODY, "metadata": things.METADATA}]},
)
async def batch(body: Batch, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start several runs in the background: all of them, or none."""
    requests = [await requested(services, caller, run, None) for run in body]
    runs, headers = await services.runs.start_batch(caller, requests, terms)
    return Json([Run.of(run, tracebacks=caller.admin) for run in runs], headers=headers)


@router.post(
    "/runs/cancel",
    operation_id="cancel_runs",
    description="Send either `status`, or `thread_id` and `run_ids`. 404 if none of them is unfinished.",
    permission=permissions.cancel_runs,
    status_code=204,
    refusals=(404,),
    examples={
        "all that wait": {"status": "pending"},
        "some of a thread": {"thread_id": things.NAME, "run_ids": [things.RUN]},
    },
)
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
