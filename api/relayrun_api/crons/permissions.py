"""What is asked about crons."""

from relayrun_api.assistants.permissions import assistant_of
from relayrun_api.auth.permissions import PAGE, Ask, Rule, Sent, given, into, members_of


def new_cron(sent: Sent) -> list[Ask]:
    """A cron, its assistant and its thread."""
    body, thread_id = sent.body, sent.path.get("thread_id")
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
    asks = [Ask("crons", "create", value, into(body, ("metadata",))), *assistant_of(body)]
    if thread_id is not None:
        asks.append(Ask("threads", "read", {"thread_id": thread_id}))
    return asks


def search_crons(sent: Sent) -> list[Ask]:
    """Searches and counts."""
    members = ("assistant_id", "thread_id", "limit", "offset", "metadata")
    value = {"assistant_id": None, "thread_id": None, **PAGE, **members_of(sent.body, members)}
    return [Ask("crons", "search", value, into(sent.body, ("metadata", "limit", "offset")))]


def cron(action: str, *members: str) -> Rule:
    """About one cron."""

    def rule(sent: Sent) -> list[Ask]:
        value = {"cron_id": sent.path["cron_id"], **members_of(sent.body, members)}
        return [Ask("crons", action, value, into(sent.body, ("metadata",) if "metadata" in members else ()))]

    return rule


def change_cron(sent: Sent) -> list[Ask]:
    """PATCH /runs/crons/{id}."""
    own = ("schedule", "end_time", "enabled", "on_run_completed", "timezone")
    payload = {name: value for name, value in sent.body.items() if name not in own}
    value = {"cron_id": sent.path["cron_id"], "payload": payload or None, **given(sent.body, (*own, "metadata"))}
    return [Ask("crons", "update", value, into(sent.body, ("metadata",)))]
