"""Runs without a thread of the caller's: each gets one of its own."""

from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.models.runs import RunCreate
from relayrun_api.routes.parts import new_router, run_ending, run_stream
from relayrun_api.routes.runs import answer_created, start_run
from relayrun_api.routes.terms import StartTerms
from relayrun_api.services.container import Given

router = new_router("stateless runs")


@router.post("/runs")
async def create(body: RunCreate, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run in the background."""
    return await answer_created(services, await start_run(services, caller, body, None, terms))


@router.post("/runs/stream")
async def stream(body: RunCreate, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and stream its events."""
    started = await start_run(services, caller, body, None, terms)
    return run_stream(services, started, on_disconnect=body.on_disconnect)


@router.post("/runs/wait")
async def wait(body: RunCreate, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and wait for its final values."""
    started = await start_run(services, caller, body, None, terms, waits=True)
    return run_ending(services, started, on_disconnect=body.on_disconnect)
