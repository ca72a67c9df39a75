"""Permissions of threads."""

from typing import Any
from uuid import uuid4

from relayrun_api.auth.permissions import PAGE, AccessCheck, Permission, RequestData, into, members_of


def thread(action: str, *members: str) -> Permission:
    """About one thread, or one of its runs; `members` of the body are part of the value."""

    def rule(request: RequestData) -> list[AccessCheck]:
        ids: dict[str, Any] = {name: request.path[name] for name in ("thread_id", "run_id") if name in request.path}
        value = {"thread_id": None, **ids, **members_of(request.body, members)}
        return [AccessCheck("threads", action, value, into(request.body, members))]

    return rule


#: Most routes about one thread.
READ = thread("read")


def new_thread(request: RequestData) -> list[AccessCheck]:
    """POST /threads: one without an id is given one, which handlers may note."""
    body = request.body
    if not body.get("thread_id"):
        # As for a client's own id, but nobody else can have this one.
        body |= {"thread_id": str(uuid4()), "if_exists": "do_nothing"}
    members = ("thread_id", "metadata", "if_exists", "ttl")
    return [
        AccessCheck(
            "threads", "create", {"if_exists": "raise", **members_of(body, members)}, into(body, ("metadata", "ttl"))
        )
    ]


def search_threads(request: RequestData) -> list[AccessCheck]:
    """Searches and counts."""
    members = ("metadata", "values", "status", "limit", "offset", "ids")
    value = {"values": {}, "status": None, **PAGE, **members_of(request.body, members)}
    return [AccessCheck("threads", "search", value, into(request.body, members))]


def prune_threads(request: RequestData) -> list[AccessCheck]:
    """POST /threads/prune."""
    members = ("thread_ids", "strategy")
    return [AccessCheck("threads", "delete", members_of(request.body, members), into(request.body, ("thread_ids",)))]


def copy_thread(request: RequestData) -> list[AccessCheck]:
    """To read one, and to make one."""
    made = {"thread_id": str(uuid4()), "metadata": {}, "if_exists": "raise"}
    return [*READ(request), AccessCheck("threads", "create", made)]
