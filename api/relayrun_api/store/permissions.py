"""What is asked about the store's items."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from relayrun_api.auth.permissions import Ask, Rule, Sent, into, members_of
from relayrun_api.http.errors import Invalid


def item(action: str, *members: str) -> Rule:
    """About one item of the store."""

    def rule(sent: Sent) -> list[Ask]:
        return [Ask("store", action, members_of(sent.body, members), into(sent.body, members))]

    return rule


def get_item(sent: Sent) -> list[Ask]:
    """GET /store/items, which says in its query what others say in their body."""
    labels = [label for part in sent.query.getlist("namespace") for label in part.split(".")]

    def write(value: Mapping[str, Any]) -> None:
        rest = [(name, text) for name, text in sent.query.multi_items() if name not in ("namespace", "key")]
        labels = [str(label) for label in value.get("namespace") or ()]
        if any("." in label for label in labels):
            # It would be taken apart, and mean a namespace of somebody else.
            raise Invalid("A label of a namespace has no dots, so you have no items: tell who runs this server.")
        named = [("namespace", label) for label in labels]
        sent.query = QueryParams([*rest, *named, ("key", str(value.get("key", "")))])

    return [Ask("store", "get", {"namespace": labels, "key": sent.query.get("key", "")}, write)]


def search_items(sent: Sent) -> list[Ask]:
    """POST /store/items/search: the prefix is the handler's `namespace`."""
    return [_below(sent.body, "search", "namespace_prefix", {"filter": None, "limit": 10, "offset": 0, "query": None})]


def search_namespaces(sent: Sent) -> list[Ask]:
    """POST /store/namespaces: the prefix is the handler's `namespace`."""
    defaults = {"suffix": None, "max_depth": None, "limit": 100, "offset": 0}
    return [_below(sent.body, "list_namespaces", "prefix", defaults)]


def _added(sent: Any, written: Any) -> int:
    """How many labels a handler put in front of what the caller sent; all of them where it did something else.

    A caller's `*` stands for any label, and a handler's for itself: it may be the caller's own name.
    """
    before, after = list(sent or ()), list(written or ())
    return len(after) - len(before) if after[len(after) - len(before) :] == before else len(after)


def _below(body: dict[str, Any], action: str, prefix: str, defaults: Mapping[str, Any]) -> Ask:
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

    return Ask("store", action, value, write)
