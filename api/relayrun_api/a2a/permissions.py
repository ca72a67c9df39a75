"""Permissions of A2A: those of the runs and threads that a method is about."""

from relayrun_api.assistants.permissions import assistant_id_of, assistant_of
from relayrun_api.auth.permissions import AccessCheck, RequestData
from relayrun_api.runs.permissions import run_checks


def card(request: RequestData) -> list[AccessCheck]:
    """An agent card. `assistant_id` may be missing where there is one graph, which everybody may run."""
    named = request.path.get("assistant_id") or request.query.get("assistant_id")
    return assistant_of({"assistant_id": named})


def call(request: RequestData) -> list[AccessCheck]:
    """Any method, before it is known which; each asks for itself too."""
    return assistant_of({"assistant_id": request.path["assistant_id"]})


def new_message(request: RequestData) -> list[AccessCheck]:
    """A run that a message asks for, on the thread in the body's `thread_id`."""
    return run_checks(request.body, request.body.pop("thread_id"), if_not_exists="create")[:1]


def read_task(request: RequestData) -> list[AccessCheck]:
    """A task, which is of a thread."""
    return [AccessCheck("threads", "read", {"thread_id": request.body["thread_id"]})]


def cancel_task(request: RequestData) -> list[AccessCheck]:
    """A cancel of a task's run."""
    marks = {"run_ids": [request.body["run_id"]], "status": None}
    ids = {"thread_id": request.body["thread_id"], "run_id": request.body["run_id"]}
    return [AccessCheck("threads", "update", {**ids, "action": "interrupt", "metadata": marks})]


def list_tasks(request: RequestData) -> list[AccessCheck]:
    """All tasks at an assistant."""
    metadata = {"assistant_id": assistant_id_of(request.path["assistant_id"])}
    value = {"metadata": metadata, "values": {}, "status": None, "limit": 10, "offset": 0}
    return [AccessCheck("threads", "search", value)]
