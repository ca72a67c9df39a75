"""Permissions of the event protocol."""

from relayrun_api.auth.permissions import AccessCheck, RequestData
from relayrun_api.runs.permissions import run_checks

_STARTING = ("run.start", "input.respond", "state.fork")


def command(request: RequestData) -> list[AccessCheck]:
    """A command of the event protocol: one that starts a run, or one that reads."""
    body, thread_id = request.body, request.path["thread_id"]
    if body.get("method") not in _STARTING:
        return [AccessCheck("threads", "read", {"thread_id": thread_id})]
    params = body.setdefault("params", {})
    return run_checks(params, thread_id, if_not_exists="create")
