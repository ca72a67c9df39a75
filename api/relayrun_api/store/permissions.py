"""Permissions of the store."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from relayrun_api.auth.permissions import AccessCheck, Permission, RequestData, into, members_of
from relayrun_api.http.errors import Invalid


def item(action: str, *members: str) -> Permission:
    """About one item of the store."""

    def rule(request: RequestData) -> list[AccessCheck]:
        return [AccessCheck("store", action, members_of(request.body, members), into(request.body, members))]

    return rule


def get_item(request: RequestData) -> list[AccessCheck]:
    """GET /store/items, which says in its query what others say in their body."""
    labels = [label for part in request.query.getlist("namespace") for label in part.split(".")]

    def write(value: Mapping[str, Any]) -> None:
        rest = [(name, text) for name, text in request.query.multi_items() if name not in ("namespace", "key")]
        labels = [str(label) for label in value.get("namespace") or ()]
        if any("." in label for label in labels):
            # It would be taken apart, and mean a namespace of somebody else.
            raise Invalid(
                "A label of a namespace has no dots, so you have no items: tell whoever operates this server."
            )
        named = [("namespace", label) for label in labels]
        request.query = QueryParams([*rest, *named, ("key", str(value.get("key", "")))])

    return [AccessCheck("store", "get", {"namespace": labels, "key": request.query.get("key", "")}, write)]


def search_items(request: RequestData) -> list[AccessCheck]:
    """POST /store/items/search: the prefix is the handler's `namespace`."""
    return [
        _below(request.body, "search", "namespace_prefix", {"filter": None, "limit": 10, "offset": 0, "query": None})
    ]


def search_namespaces(request: RequestData) -> list[AccessCheck]:
    """POST /store/namespaces: the prefix is the handler's `namespace`."""
    defaults = {"suffix": None, "max_depth": None, "limit": 100, "offset": 0}
    return [_below(request.body, "list_namespaces", "prefix", defaults)]


def _added(sent: Any, written: Any) -> int:
    """How many labels a handler put in front of what the caller sent; all of them where it did something else.

    A caller's `*` stands for any label, and a handler's for itself: it may be the caller's own name.
    """
    before, after = list(sent or ()), list(written or ())
    return len(after) - len(before) if after[len(after) - len(before) :] == before else len(after)


def _below(body: dict[str, Any], action: str, prefix: str, defaults: Mapping[str, Any]) -> AccessCheck:
    none: list[str] | None = [] if action == "search" else None
    value = {
        "namespace": body.get(prefix) or none,
        **{name: body.get(name, default) for name, default in defaults.items()},
    }

    def write(written: Mapping[str, Any]) -> None:
        if action == "list_namespaces":
            body["literal_prefix"] = _added(body.get(prefix), written.get("namespace"))
            body["literal_suffix"] = _added(body.get("suffix"), written.get("suffix"))
        body[prefix] = written.get("namespace")
        into(body, tuple(defaults))(written)

    return AccessCheck("store", action, value, write)
