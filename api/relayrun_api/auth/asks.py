"""What a request wants to do, in the words of `@auth.on` of LangGraph's SDK. Pure.

Each route has a rule that makes of a request what the author's handlers are asked, with the value that the SDK's types
have; what a handler changes of the value is written back into the request before anything is done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from starlette.datastructures import QueryParams

from relayrun_api.auth.principal import Resource
from relayrun_core.ids import default_assistant_id

_DEFAULT_ID_VERSION = 5  # of a UUID that is made of a graph's name
_OF_RUNS = ("input", "command", "config", "context", "webhook", "interrupt_before", "interrupt_after", "checkpoint_id")
_PAGE = {"limit": 10, "offset": 0}
_OF_STARTS = ("multitask_strategy", "if_not_exists", "after_seconds")
_STARTING = ("run.start", "input.respond", "state.fork")


@dataclass
class Sent:
    """A request: `body` and `query` may be changed by what handlers write."""

    path: dict[str, str]
    query: QueryParams = field(default_factory=QueryParams)
    body: Any = None


Write = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Ask:
    """May this be done? `write` takes what a handler made of the value."""

    resource: Resource
    action: str
    value: dict[str, Any]
    write: Write | None = None

    @property
    def names(self) -> frozenset[str]:
        """The handlers that may be about it."""
        return frozenset((f"{self.resource}.{self.action}", f"{self.resource}.*", f"*.{self.action}", "*.*"))


Rule = Callable[[Sent], list[Ask]]


def thread(action: str, *members: str) -> Rule:
    """About one thread, or one of its runs; `members` of the body are part of the value."""

    def rule(sent: Sent) -> list[Ask]:
        ids: dict[str, Any] = {name: sent.path[name] for name in ("thread_id", "run_id") if name in sent.path}
        value = {"thread_id": None, **ids, **_members(sent.body, members)}
        return [Ask("threads", action, value, _into(sent.body, members))]

    return rule


def new_thread(sent: Sent) -> list[Ask]:
    """POST /threads: one without an id is given one, which handlers may note."""
    body = sent.body
    if not body.get("thread_id"):
        # As for a client's own id, but nobody else can have this one.
        body |= {"thread_id": str(uuid4()), "if_exists": "do_nothing"}
    members = ("thread_id", "metadata", "if_exists", "ttl")
    return [
        Ask("threads", "create", {"if_exists": "raise", **_members(body, members)}, _into(body, ("metadata", "ttl")))
    ]


def search_threads(sent: Sent) -> list[Ask]:
    """Searches and counts."""
    members = ("metadata", "values", "status", "limit", "offset", "ids")
    value = {"values": {}, "status": None, **_PAGE, **_members(sent.body, members)}
    return [Ask("threads", "search", value, _into(sent.body, members))]


def runs_of_thread(sent: Sent) -> list[Ask]:
    """GET /threads/{id}/runs."""
    return [Ask("threads", "search", {"thread_id": sent.path["thread_id"], "metadata": {}})]


def prune_threads(sent: Sent) -> list[Ask]:
    """POST /threads/prune."""
    members = ("thread_ids", "strategy")
    return [Ask("threads", "delete", _members(sent.body, members), _into(sent.body, ("thread_ids",)))]


def copy_thread(sent: Sent) -> list[Ask]:
    """To read one, and to make one."""
    made = {"thread_id": str(uuid4()), "metadata": {}, "if_exists": "raise"}
    return [*thread("read")(sent), Ask("threads", "create", made)]


def join_run(sent: Sent) -> list[Ask]:
    """To read a run, and to cancel it if its reader leaves."""
    asks = thread("read")(sent)
    return [*asks, *cancel_run(sent)] if _says_yes(sent, "cancel_on_disconnect") else asks


def cancel_run(sent: Sent) -> list[Ask]:
    """A cancel of one run."""
    ids = {"thread_id": None, **sent.path}
    marks = {"run_ids": [sent.path.get("run_id")], "status": None}
    action = sent.query.get("action", "interrupt")
    return [Ask("threads", "update", {**ids, "action": action, "metadata": marks})]


def cancel_runs(sent: Sent) -> list[Ask]:
    """POST /runs/cancel."""
    marks = {"run_ids": sent.body.get("run_ids"), "status": sent.body.get("status")}
    value = {
        "thread_id": sent.body.get("thread_id"),
        "action": sent.query.get("action", "interrupt"),
        "metadata": marks,
    }
    return [Ask("threads", "update", value)]


def new_run(sent: Sent) -> list[Ask]:
    """A run that a LangGraph client asks for."""
    return _run(sent.body, sent.path.get("thread_id"))


def new_runs(sent: Sent) -> list[Ask]:
    """POST /runs/batch."""
    return [ask for body in sent.body for ask in _run(body, None)]


def new_answer(sent: Sent) -> list[Ask]:
    """A run by one of the simple endpoints."""
    body = sent.body
    message = {"messages": [{"role": "user", "content": body["message"]}]} if body.get("message") else None
    kwargs = {"input": message, "command": {"resume": body["resume"]} if "resume" in body else None}
    return _run(
        {"assistant_id": body.get("assistant_id"), "if_not_exists": "create", **kwargs},
        body.get("thread_id") or "default_user",
    )


def command(sent: Sent) -> list[Ask]:
    """A command of the event protocol: one that starts a run, or one that reads."""
    body, thread_id = sent.body, sent.path["thread_id"]
    if body.get("method") not in _STARTING:
        return [Ask("threads", "read", {"thread_id": thread_id})]
    params = body.setdefault("params", {})
    return _run(params, thread_id, if_not_exists="create")


def new_assistant(sent: Sent) -> list[Ask]:
    """POST /assistants."""
    body = sent.body
    if not body.get("assistant_id"):
        body["assistant_id"] = str(uuid4())
    members = ("assistant_id", "graph_id", "config", "context", "metadata", "if_exists", "name")
    kept = ("config", "context", "metadata", "name")
    return [Ask("assistants", "create", {"if_exists": "raise", **_members(body, members)}, _into(body, kept))]


def search_assistants(sent: Sent) -> list[Ask]:
    """Searches and counts."""
    members = ("graph_id", "metadata", "limit", "offset", "name")
    value = {"graph_id": None, **_PAGE, **_members(sent.body, members)}
    return [Ask("assistants", "search", value, _into(sent.body, members))]


def assistant(action: str, *members: str) -> Rule:
    """About one assistant."""

    def rule(sent: Sent) -> list[Ask]:
        value = {"assistant_id": _assistant_id(sent.path["assistant_id"]), **_members(sent.body, members)}
        return [Ask("assistants", action, value, _into(sent.body, members))]

    return rule


def delete_assistant(sent: Sent) -> list[Ask]:
    """With its threads, if that is asked for."""
    asks = assistant("delete")(sent)
    if not _says_yes(sent, "delete_threads"):
        return asks
    return [*asks, Ask("threads", "delete", {"thread_id": None, **asks[0].value})]


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
        **_members(body, members),
    }
    asks = [Ask("crons", "create", value, _into(body, ("metadata",))), *_assistant_of(body)]
    if thread_id is not None:
        asks.append(Ask("threads", "read", {"thread_id": thread_id}))
    return asks


def search_crons(sent: Sent) -> list[Ask]:
    """Searches and counts."""
    members = ("assistant_id", "thread_id", "limit", "offset", "metadata")
    value = {"assistant_id": None, "thread_id": None, **_PAGE, **_members(sent.body, members)}
    return [Ask("crons", "search", value, _into(sent.body, ("metadata", "limit", "offset")))]


def cron(action: str, *members: str) -> Rule:
    """About one cron."""

    def rule(sent: Sent) -> list[Ask]:
        value = {"cron_id": sent.path["cron_id"], **_members(sent.body, members)}
        return [Ask("crons", action, value, _into(sent.body, ("metadata",) if "metadata" in members else ()))]

    return rule


def change_cron(sent: Sent) -> list[Ask]:
    """PATCH /runs/crons/{id}."""
    own = ("schedule", "end_time", "enabled", "on_run_completed", "timezone")
    payload = {name: value for name, value in sent.body.items() if name not in own}
    value = {"cron_id": sent.path["cron_id"], "payload": payload or None, **_given(sent.body, (*own, "metadata"))}
    return [Ask("crons", "update", value, _into(sent.body, ("metadata",)))]


def item(action: str, *members: str) -> Rule:
    """About one item of the store."""

    def rule(sent: Sent) -> list[Ask]:
        return [Ask("store", action, _members(sent.body, members), _into(sent.body, members))]

    return rule


def get_item(sent: Sent) -> list[Ask]:
    """GET /store/items, which says in its query what others say in their body."""
    labels = [label for part in sent.query.getlist("namespace") for label in part.split(".")]

    def write(value: Mapping[str, Any]) -> None:
        rest = [(name, text) for name, text in sent.query.multi_items() if name not in ("namespace", "key")]
        named = [("namespace", str(label)) for label in value.get("namespace") or ()]
        sent.query = QueryParams([*rest, *named, ("key", str(value.get("key", "")))])

    return [Ask("store", "get", {"namespace": labels, "key": sent.query.get("key", "")}, write)]


def search_items(sent: Sent) -> list[Ask]:
    """POST /store/items/search: the prefix is the handler's `namespace`."""
    return [_below(sent.body, "search", "namespace_prefix", {"filter": None, "limit": 10, "offset": 0, "query": None})]


def search_namespaces(sent: Sent) -> list[Ask]:
    """POST /store/namespaces: the prefix is the handler's `namespace`."""
    defaults = {"suffix": None, "max_depth": None, "limit": 100, "offset": 0}
    return [_below(sent.body, "list_namespaces", "prefix", defaults)]


def _below(body: dict[str, Any], action: str, prefix: str, defaults: Mapping[str, Any]) -> Ask:
    none: list[str] | None = [] if action == "search" else None
    value = {
        "namespace": body.get(prefix) or none,
        **{name: body.get(name, default) for name, default in defaults.items()},
    }

    def write(written: Mapping[str, Any]) -> None:
        body[prefix] = written.get("namespace")
        _into(body, tuple(defaults))(written)

    return Ask("store", action, value, write)


def _run(body: dict[str, Any], thread_id: str | None, *, if_not_exists: str = "reject") -> list[Ask]:
    kwargs = {name: body.get(name) for name in _OF_RUNS}
    config = _object(kwargs["config"])
    kwargs["config"] = {**config, "configurable": _object(config.get("configurable"))}
    value = {
        "thread_id": thread_id,
        "assistant_id": _assistant_id(body.get("assistant_id")),
        "run_id": None,
        "status": "pending",
        "metadata": _object(body.get("metadata")),
        "prevent_insert_if_inflight": body.get("multitask_strategy") == "reject",
        "multitask_strategy": body.get("multitask_strategy") or "enqueue",
        "if_not_exists": body.get("if_not_exists") or if_not_exists,
        "after_seconds": body.get("after_seconds") or 0,
        "kwargs": kwargs,
    }

    def write(written: Mapping[str, Any]) -> None:
        changed = _object(written.get("kwargs"))
        body.update({name: changed[name] for name in _OF_RUNS if name in changed and changed[name] != kwargs[name]})
        body.update({name: written[name] for name in _OF_STARTS if name in written and written[name] != value[name]})
        body["metadata"] = written.get("metadata")

    return [Ask("threads", "create_run", value, write), *_assistant_of(body)]


def _assistant_of(body: Mapping[str, Any]) -> list[Ask]:
    """The assistant that is used, unless it is a graph's own, which everybody may run."""
    named = _assistant_id(body.get("assistant_id"))
    if named is None or UUID(named).version == _DEFAULT_ID_VERSION:
        return []
    return [Ask("assistants", "read", {"assistant_id": named})]


def _assistant_id(name: Any) -> str | None:
    """The id of what a caller names by it, or by its graph."""
    if not isinstance(name, str):
        return None
    try:
        return str(UUID(name))
    except ValueError:
        return str(default_assistant_id(name))


def _says_yes(sent: Sent, name: str) -> bool:
    """Whether the query says so, or what may be taken for it."""
    return sent.query.get(name, "false").lower() not in ("false", "0", "no", "off", "f", "n")


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _members(body: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """What the body has of these, and metadata always: handlers write into it."""
    found = _given(body, names)
    return {**found, "metadata": _object(found.get("metadata"))} if "metadata" in names else found


def _given(body: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body} if isinstance(body, dict) else {}


def _into(body: Any, names: tuple[str, ...]) -> Write:
    def write(value: Mapping[str, Any]) -> None:
        if isinstance(body, dict):
            body.update({name: value[name] for name in names if name in value})

    return write
