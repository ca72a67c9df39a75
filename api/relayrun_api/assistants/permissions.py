"""Permissions of assistants."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from relayrun_api.auth.permissions import PAGE, AccessCheck, Permission, RequestData, into, members_of, query_flag
from relayrun_core.ids import default_assistant_id

_DEFAULT_ID_VERSION = 5  # of a UUID that is made of a graph's name


def new_assistant(request: RequestData) -> list[AccessCheck]:
    """POST /assistants."""
    body = request.body
    if not body.get("assistant_id"):
        body["assistant_id"] = str(uuid4())
    members = ("assistant_id", "graph_id", "config", "context", "metadata", "if_exists", "name")
    kept = ("config", "context", "metadata", "name")
    return [AccessCheck("assistants", "create", {"if_exists": "raise", **members_of(body, members)}, into(body, kept))]


def search_assistants(request: RequestData) -> list[AccessCheck]:
    """Searches and counts."""
    members = ("graph_id", "metadata", "limit", "offset", "name")
    value = {"graph_id": None, **PAGE, **members_of(request.body, members)}
    return [AccessCheck("assistants", "search", value, into(request.body, members))]


def list_agents(_: RequestData) -> list[AccessCheck]:
    """GET /agents: their graphs, each of which is an assistant."""
    return [AccessCheck("assistants", "search", {"graph_id": None, "metadata": {}, **PAGE})]


def assistant(action: str, *members: str) -> Permission:
    """About one assistant."""

    def rule(request: RequestData) -> list[AccessCheck]:
        value = {
            "assistant_id": assistant_id_of(request.path["assistant_id"]),
            **members_of(request.body, members),
        }
        return [AccessCheck("assistants", action, value, into(request.body, members))]

    return rule


def delete_assistant(request: RequestData) -> list[AccessCheck]:
    """With its threads, if that is asked for."""
    checks = assistant("delete")(request)
    if not query_flag(request, "delete_threads"):
        return checks
    return [*checks, AccessCheck("threads", "delete", {"thread_id": None, **checks[0].value})]


def assistant_of(body: Mapping[str, Any]) -> list[AccessCheck]:
    """The assistant that is used, unless it is a graph's own, which everybody may run."""
    named = assistant_id_of(body.get("assistant_id"))
    if named is None or UUID(named).version == _DEFAULT_ID_VERSION:
        return []
    return [AccessCheck("assistants", "read", {"assistant_id": named})]


def assistant_id_of(name: Any) -> str | None:
    """The id of what a caller names by it, or by its graph."""
    if not isinstance(name, str):
        return None
    try:
        return str(UUID(name))
    except ValueError:
        return str(default_assistant_id(name))
