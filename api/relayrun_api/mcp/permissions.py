"""Permissions of the protocol's methods: those of what they do elsewhere."""

from typing import Any

from relayrun_api.assistants import permissions as assistants
from relayrun_api.auth.permissions import AccessCheck, RequestData
from relayrun_api.runs.permissions import cancel_run, run_checks
from relayrun_api.threads.permissions import thread


def later(_: RequestData) -> list[AccessCheck]:
    """What a message wants is known once it is read: each method asks then."""
    return []


def list_tools() -> list[AccessCheck]:
    """tools/list."""
    return assistants.search_assistants(RequestData({}, body={}))


def call_tool(body: dict[str, Any]) -> list[AccessCheck]:
    """tools/call: a run of this assistant with this input."""
    return run_checks({**body, "if_not_exists": "create"}, None)


def resume(thread_id: str, body: dict[str, Any]) -> list[AccessCheck]:
    """A run with the answer to a question of this thread."""
    return run_checks(body, thread_id)


def read_call(thread_id: str) -> list[AccessCheck]:
    """To go on with a call's answer."""
    return thread("read")(RequestData({"thread_id": thread_id}))


def cancel_call(thread_id: str, run_id: str) -> list[AccessCheck]:
    """To cancel a call."""
    return cancel_run(RequestData({"thread_id": thread_id, "run_id": run_id}))


def decline(thread_id: str) -> list[AccessCheck]:
    """To say that a question of this thread is not answered."""
    return thread("update")(RequestData({"thread_id": thread_id}, body={}))
