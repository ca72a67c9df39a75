"""Permissions of runs. As in LangGraph, the handlers of threads decide about them."""

from collections.abc import Mapping
from typing import Any

from relayrun_api.assistants.permissions import assistant_id_of, assistant_of
from relayrun_api.auth.permissions import AccessCheck, RequestData, as_object, query_flag
from relayrun_api.threads.permissions import thread

_OF_RUNS = ("input", "command", "config", "context", "webhook", "interrupt_before", "interrupt_after", "checkpoint_id")
_OF_STARTS = ("multitask_strategy", "if_not_exists", "after_seconds")


def runs_of_thread(request: RequestData) -> list[AccessCheck]:
    """GET /threads/{id}/runs."""
    return [AccessCheck("threads", "search", {"thread_id": request.path["thread_id"], "metadata": {}})]


def search_runs(request: RequestData) -> list[AccessCheck]:
    """POST /runs/search and /runs/stats: whoever may see a thread sees its runs."""
    value = {"metadata": {}, "values": {}, "status": None, "limit": request.body.get("limit", 10), "offset": 0}
    return [AccessCheck("threads", "search", value)]


def join_run(request: RequestData) -> list[AccessCheck]:
    """To read a run, and to cancel it if its reader leaves."""
    checks = thread("read")(request)
    return [*checks, *cancel_run(request)] if query_flag(request, "cancel_on_disconnect") else checks


def cancel_run(request: RequestData) -> list[AccessCheck]:
    """A cancel of one run."""
    ids = {"thread_id": None, **request.path}
    marks = {"run_ids": [request.path.get("run_id")], "status": None}
    action = request.query.get("action", "interrupt")
    return [AccessCheck("threads", "update", {**ids, "action": action, "metadata": marks})]


def cancel_runs(request: RequestData) -> list[AccessCheck]:
    """POST /runs/cancel."""
    marks = {"run_ids": request.body.get("run_ids"), "status": request.body.get("status")}
    value = {
        "thread_id": request.body.get("thread_id"),
        "action": request.query.get("action", "interrupt"),
        "metadata": marks,
    }
    return [AccessCheck("threads", "update", value)]


def new_run(request: RequestData) -> list[AccessCheck]:
    """A run that a LangGraph client asks for."""
    return run_checks(request.body, request.path.get("thread_id"))


def new_runs(request: RequestData) -> list[AccessCheck]:
    """POST /runs/batch."""
    return [check for body in request.body for check in run_checks(body, None)]


def run_checks(body: dict[str, Any], thread_id: str | None, *, if_not_exists: str = "reject") -> list[AccessCheck]:
    """Return the checks for the start of a run on a thread, whichever route received the body."""
    kwargs = {name: body.get(name) for name in _OF_RUNS}
    config = as_object(kwargs["config"])
    kwargs["config"] = {**config, "configurable": as_object(config.get("configurable"))}
    value = {
        "thread_id": thread_id,
        "assistant_id": assistant_id_of(body.get("assistant_id")),
        "run_id": None,
        "status": "pending",
        "metadata": as_object(body.get("metadata")),
        "prevent_insert_if_inflight": body.get("multitask_strategy") == "reject",
        "multitask_strategy": body.get("multitask_strategy") or "enqueue",
        "if_not_exists": body.get("if_not_exists") or if_not_exists,
        "after_seconds": body.get("after_seconds") or 0,
        "kwargs": kwargs,
    }

    def write(written: Mapping[str, Any]) -> None:
        changed = as_object(written.get("kwargs"))
        body.update({name: changed[name] for name in _OF_RUNS if name in changed and changed[name] != kwargs[name]})
        body.update({name: written[name] for name in _OF_STARTS if name in written and written[name] != value[name]})
        body["metadata"] = written.get("metadata")

    return [AccessCheck("threads", "create_run", value, write), *assistant_of(body)]
