"""Permissions of crons."""

from relayrun_api.assistants.permissions import assistant_of
from relayrun_api.auth.permissions import PAGE, AccessCheck, Permission, RequestData, given, into, members_of


def new_cron(request: RequestData) -> list[AccessCheck]:
    """A cron, its assistant and its thread."""
    body, thread_id = request.body, request.path.get("thread_id")
    members = ("schedule", "end_time", "metadata")
    payload = {name: value for name, value in body.items() if name not in ("schedule", "end_time")}
    value = {
        "payload": payload,
        "cron_id": None,
        "thread_id": thread_id,
        "user_id": None,
        "end_time": None,
        **members_of(body, members),
    }
    checks = [AccessCheck("crons", "create", value, into(body, ("metadata",))), *assistant_of(body)]
    if thread_id is not None:
        checks.append(AccessCheck("threads", "read", {"thread_id": thread_id}))
    return checks


def search_crons(request: RequestData) -> list[AccessCheck]:
    """Searches and counts."""
    members = ("assistant_id", "thread_id", "limit", "offset", "metadata")
    value = {"assistant_id": None, "thread_id": None, **PAGE, **members_of(request.body, members)}
    return [AccessCheck("crons", "search", value, into(request.body, ("metadata", "limit", "offset")))]


def preview(_: RequestData) -> list[AccessCheck]:
    """POST /runs/crons/preview: nobody's things."""
    return []


def cron(action: str, *members: str) -> Permission:
    """About one cron."""

    def rule(request: RequestData) -> list[AccessCheck]:
        value = {"cron_id": request.path["cron_id"], **members_of(request.body, members)}
        return [AccessCheck("crons", action, value, into(request.body, ("metadata",) if "metadata" in members else ()))]

    return rule


def change_cron(request: RequestData) -> list[AccessCheck]:
    """PATCH /runs/crons/{id}."""
    own = ("schedule", "end_time", "enabled", "on_run_completed", "timezone")
    payload = {name: value for name, value in request.body.items() if name not in own}
    value = {
        "cron_id": request.path["cron_id"],
        "payload": payload or None,
        **given(request.body, (*own, "metadata")),
    }
    return [AccessCheck("crons", "update", value, into(request.body, ("metadata",)))]
