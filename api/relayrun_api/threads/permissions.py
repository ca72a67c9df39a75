"""What is asked about threads."""

from typing import Any
from uuid import uuid4

from relayrun_api.auth.permissions import PAGE, Ask, Rule, Sent, into, members_of


def thread(action: str, *members: str) -> Rule:
    """About one thread, or one of its runs; `members` of the body are part of the value."""

    def rule(sent: Sent) -> list[Ask]:
        ids: dict[str, Any] = {name: sent.path[name] for name in ("thread_id", "run_id") if name in sent.path}
        value = {"thread_id": None, **ids, **members_of(sent.body, members)}
        return [Ask("threads", action, value, into(sent.body, members))]

    return rule


#: Most routes about one thread.
READ = thread("read")


def new_thread(sent: Sent) -> list[Ask]:
    """POST /threads: one without an id is given one, which handlers may note."""
    body = sent.body
    if not body.get("thread_id"):
        # As for a client's own id, but nobody else can have this one.
        body |= {"thread_id": str(uuid4()), "if_exists": "do_nothing"}
    members = ("thread_id", "metadata", "if_exists", "ttl")
    return [
        Ask("threads", "create", {"if_exists": "raise", **members_of(body, members)}, into(body, ("metadata", "ttl")))
    ]


def search_threads(sent: Sent) -> list[Ask]:
    """Searches and counts."""
    members = ("metadata", "values", "status", "limit", "offset", "ids")
    value = {"values": {}, "status": None, **PAGE, **members_of(sent.body, members)}
    return [Ask("threads", "search", value, into(sent.body, members))]


def prune_threads(sent: Sent) -> list[Ask]:
    """POST /threads/prune."""
    members = ("thread_ids", "strategy")
    return [Ask("threads", "delete", members_of(sent.body, members), into(sent.body, ("thread_ids",)))]


def copy_thread(sent: Sent) -> list[Ask]:
    """To read one, and to make one."""
    made = {"thread_id": str(uuid4()), "metadata": {}, "if_exists": "raise"}
    return [*READ(sent), Ask("threads", "create", made)]
