"""What is asked about assistants."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from relayrun_api.auth.permissions import PAGE, Ask, Rule, Sent, into, members_of, says_yes
from relayrun_core.ids import default_assistant_id

_DEFAULT_ID_VERSION = 5  # of a UUID that is made of a graph's name


def new_assistant(sent: Sent) -> list[Ask]:
    """POST /assistants."""
    body = sent.body
    if not body.get("assistant_id"):
        body["assistant_id"] = str(uuid4())
    members = ("assistant_id", "graph_id", "config", "context", "metadata", "if_exists", "name")
    kept = ("config", "context", "metadata", "name")
    return [Ask("assistants", "create", {"if_exists": "raise", **members_of(body, members)}, into(body, kept))]


def search_assistants(sent: Sent) -> list[Ask]:
    """Searches and counts."""
    members = ("graph_id", "metadata", "limit", "offset", "name")
    value = {"graph_id": None, **PAGE, **members_of(sent.body, members)}
    return [Ask("assistants", "search", value, into(sent.body, members))]


def assistant(action: str, *members: str) -> Rule:
    """About one assistant."""

    def rule(sent: Sent) -> list[Ask]:
        value = {"assistant_id": assistant_id_of(sent.path["assistant_id"]), **members_of(sent.body, members)}
        return [Ask("assistants", action, value, into(sent.body, members))]

    return rule


def delete_assistant(sent: Sent) -> list[Ask]:
    """With its threads, if that is asked for."""
    asks = assistant("delete")(sent)
    if not says_yes(sent, "delete_threads"):
        return asks
    return [*asks, Ask("threads", "delete", {"thread_id": None, **asks[0].value})]


def assistant_of(body: Mapping[str, Any]) -> list[Ask]:
    """The assistant that is used, unless it is a graph's own, which everybody may run."""
    named = assistant_id_of(body.get("assistant_id"))
    if named is None or UUID(named).version == _DEFAULT_ID_VERSION:
        return []
    return [Ask("assistants", "read", {"assistant_id": named})]


def assistant_id_of(name: Any) -> str | None:
    """The id of what a caller names by it, or by its graph."""
    if not isinstance(name, str):
        return None
    try:
        return str(UUID(name))
    except ValueError:
        return str(default_assistant_id(name))
