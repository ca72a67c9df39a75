"""Permissions of the chat endpoints: those of the run that they start."""

from relayrun_api.auth.permissions import AccessCheck, RequestData
from relayrun_api.runs.permissions import run_checks


def new_answer(request: RequestData) -> list[AccessCheck]:
    """A run by one of the simple endpoints."""
    body = request.body
    message = {"messages": [{"role": "user", "content": body["message"]}]} if body.get("message") else None
    kwargs = {"input": message, "command": {"resume": body["resume"]} if "resume" in body else None}
    return run_checks(
        {"assistant_id": body.get("assistant_id"), "if_not_exists": "create", **kwargs},
        body.get("thread_id") or "default_user",
    )
