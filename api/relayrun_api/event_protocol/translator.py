"""The event protocol of the newest LangGraph clients: journal events translated to protocol events. Pure.

The same journal always gives the same events with the same numbers, so a reader that comes back, at whichever
replica, is served by translating its run from the start and leaving out what it has.

```
 journal                 channel: events
 metadata                lifecycle: running (again for each attempt, behind errors of what was half told)
 values                  values, once its checkpoint is known
 updates                 updates
 messages                messages: start, blocks, finish
 tools, custom           tools, custom
 checkpoints             checkpoints: an envelope, before the values that it is of
 tasks                   tasks · lifecycle: a subgraph has started or ended
 error, end              input: questions · lifecycle: completed, failed or interrupted
```
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from relayrun_api.event_protocol.events import (
    EVERYTHING,
    ChannelFilter,
    Namespace,
    Part,
    ProtocolEvent,
    custom_channel,
    event_of,
)
from relayrun_api.event_protocol.messages import MessageEvent, Messages
from relayrun_api.event_protocol.run_state import LifecycleEvent, ProtocolRun, Questions, Subgraphs, Tools, error_of
from relayrun_api.http.responses import dumps, loads
from relayrun_core.database import Database
from relayrun_core.db.journal import Event, read_page
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus

_LOST = "The runner was lost while it told this: what is missing here is told anew."
_CANCELLED = "The run was cancelled."
# In the Agent Server's words, which has none for cancelled.
_ENDINGS = {
    RunStatus.SUCCESS: "completed",
    RunStatus.INTERRUPTED: "interrupted",
    RunStatus.CANCELLED: "interrupted",
}


class ProtocolTranslator:
    """Translates the journal of one run, event by event, in order. What nobody `wanted` is left out."""

    def __init__(self, run: ProtocolRun, wanted: ChannelFilter = EVERYTHING) -> None:
        self._run = run
        self._wanted = wanted
        self._tells_tasks = "tasks" in run.modes
        self._pairs_values = "checkpoints" in run.modes
        self._messages = Messages()
        self._subgraphs = Subgraphs()
        self._tools = Tools()
        self._questions = Questions(run)
        self._values: dict[Namespace, bytes] = {}
        self._checkpoints: dict[Namespace, str] = {}
        self._attempt = 0
        self._error: str | None = None
        self._handlers: dict[str, Callable[[Namespace, bytes], Iterable[ProtocolEvent]]] = {
            "metadata": self._metadata,
            "values": self._new_values,
            "updates": self._updates,
            "messages": self._message,
            "tools": self._tool,
            "custom": self._custom,
            "checkpoints": self._checkpoint,
            "tasks": self._task,
            "error": self._failure,
            "end": self._end,
        }

    def translate(self, event: Event) -> list[ProtocolEvent]:
        """The wanted protocol events of one journal event, in order."""
        name, _, path = event.event.partition("|")
        handler = self._handlers.get(name)
        if handler is None:
            return []
        namespace = tuple(path.split("|")) if path else ()
        translated = [*self._overtaken(name, namespace), *handler(namespace, event.data)]
        if not self._tells_tasks:
            translated += _lifecycle(self._subgraphs.met(namespace))
        return sorted(filter(self._wanted, translated), key=lambda one: (one.part, one.nth))

    def _metadata(self, _namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        self._attempt = int(loads(data).get("attempt", 1))
        # Of a step whose checkpoint nobody has told: this attempt begins with the state that there is.
        self._values.clear()
        yield from _messages(self._messages.all_ended(_LOST, "attempt_lost"))
        yield from self._tools.all_failed(_LOST, "attempt_lost")
        if self._attempt == 1:
            yield from self._questions.answered()
        # Once an attempt: it has clients forget what was half told.
        yield self._root("running", again=f":{self._attempt}" if self._attempt > 1 else "")

    def _new_values(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        if b'"__interrupt__"' in data and isinstance(values := loads(data), dict):
            self._questions.ask(namespace, values.pop("__interrupt__", None))
            data = dumps(values)
        if self._pairs_values:
            self._values[namespace] = data
        else:
            yield ProtocolEvent("values", namespace, data, "values")

    def _overtaken(self, name: str, namespace: Namespace) -> Iterator[ProtocolEvent]:
        """Values whose graph tells something else than their checkpoint."""
        if not self._values or name in ("checkpoints", "metadata"):
            return
        ready = list(self._values) if name == "end" else [namespace]
        for nth, at in enumerate(at for at in ready if at in self._values):
            yield ProtocolEvent("values", at, self._values.pop(at), "values", Part.OVERTAKEN, nth)

    def _checkpoint(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        envelope = _envelope(loads(data))
        values = self._values.pop(namespace, None)
        if self._checkpoints.get(namespace) == envelope.get("id"):
            return  # where a later attempt begins
        self._checkpoints[namespace] = envelope["id"]
        yield event_of("checkpoints", namespace, envelope, Part.CHECKPOINT)
        if values is not None:
            yield ProtocolEvent("values", namespace, values, "values")

    def _updates(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        if not any(map(self._wanted.any_of, ("updates", "input", "messages"))):
            return
        updates = loads(data)
        self._questions.ask(namespace, updates.get("__interrupt__"))
        if self._attempt == 1 and (updates.get("__metadata__") or {}).get("cached"):
            return  # a step of the run before, which told it; a later attempt's may be its only telling
        nodes = {node: values for node, values in updates.items() if node not in ("__interrupt__", "__metadata__")}
        if nodes:
            yield event_of("updates", namespace, nodes)
        if not self._tells_tasks:
            ended = (event for node in nodes for event in self._messages.node_ended(namespace, node))
            yield from _messages(ended)

    def _message(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        if self._wanted.any_of("messages"):
            message, metadata = loads(data)
            yield from _messages(self._messages.heard(namespace, message, metadata))

    def _tool(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        if self._wanted.any_of("tools"):
            yield self._tools.heard(namespace, data)

    def _custom(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        if self._wanted.any_of("custom"):
            named = data.startswith(b"{") and b'"name"' in data
            yield ProtocolEvent("custom", namespace, data, custom_channel(loads(data)) if named else "custom")

    def _task(self, namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        yield ProtocolEvent("tasks", namespace, data, "tasks")
        if not any(map(self._wanted.any_of, ("lifecycle", "messages"))):
            return
        task = loads(data)
        if "result" not in task:
            yield from _lifecycle(self._subgraphs.task_started(namespace, task))
            return
        yield from _messages(self._messages.task_ended(str(task.get("id")), error_of(task)))
        yield from _lifecycle(self._subgraphs.task_ended(namespace, task))

    def _failure(self, _namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        error = loads(data)
        self._error = str(error.get("message") or error.get("error") or "no reason given")
        return iter(())

    def _end(self, _namespace: Namespace, data: bytes) -> Iterator[ProtocolEvent]:
        status = RunStatus(loads(data)["status"])
        event = _ENDINGS.get(status, "failed")
        error = (self._error or f"The run ended as {status.value}.") if event == "failed" else None
        broken_off = _CANCELLED if status is RunStatus.CANCELLED else error
        yield from _messages(self._messages.all_ended(broken_off))
        if broken_off is not None:
            yield from self._tools.all_failed(broken_off, "aborted")
        nth = 0
        if not self._attempt:  # it ended before any runner had it
            yield from self._questions.answered()
            yield self._root("running")
            nth = 1
        if status is RunStatus.INTERRUPTED:
            yield from self._questions.all()
        yield from _lifecycle(self._subgraphs.all_ended(event, error), nth)
        yield self._root(event, error, Part.TERMINAL)

    def _root(
        self, event: str, error: str | None = None, part: Part = Part.LIFECYCLE, *, again: str = ""
    ) -> ProtocolEvent:
        data = {"event": event, "graph_name": self._run.graph} | ({} if error is None else {"error": error})
        # JavaScript's client reads in the id which run this is of.
        return event_of("lifecycle", (), data, part, identity=f"synth:{self._run.run_id}:lc||{event}{again}")


def _envelope(checkpoint: dict[str, Any]) -> dict[str, Any]:
    metadata = checkpoint.get("metadata") or {}
    envelope = {
        "id": _checkpoint_id(checkpoint.get("config")) or "",
        "parent_id": _checkpoint_id(checkpoint.get("parent_config")),
        "step": metadata.get("step"),
        "source": metadata.get("source"),
    }
    return {name: value for name, value in envelope.items() if value is not None}


def _checkpoint_id(config: dict[str, Any] | None) -> str | None:
    return ((config or {}).get("configurable") or {}).get("checkpoint_id")


def _messages(events: Iterable[MessageEvent]) -> Iterator[ProtocolEvent]:
    for nth, event in enumerate(events):
        yield ProtocolEvent("messages", event.namespace, dumps(event.data), "messages", Part.MESSAGES, nth, event.node)


def _lifecycle(events: Iterable[LifecycleEvent], first: int = 0) -> Iterator[ProtocolEvent]:
    for nth, event in enumerate(events, first):
        yield event_of("lifecycle", event.namespace, event.data, Part.LIFECYCLE, nth)


async def tree_of(database: Database, run: Run) -> dict[str, Any]:
    """Return the tree of a run and its subgraphs now, from its lifecycle events, for the command `agent.getTree`."""
    known = ProtocolRun.of(run)
    translator = ProtocolTranslator(known, ChannelFilter(frozenset(("lifecycle",))))
    nodes: dict[Namespace, dict[str, Any]] = {(): {"namespace": [], "status": "started", "graph_name": known.graph}}
    after = -1
    while page := await read_page(database, run.run_id, after):
        for event in page.events:
            for translated in translator.translate(event):
                data = loads(translated.data)
                node = nodes.setdefault(
                    translated.namespace, {"namespace": list(translated.namespace), "graph_name": ""}
                )
                node |= {"status": data["event"], "graph_name": data.get("graph_name") or node["graph_name"]}
        after = page.events[-1].seq
    for namespace in sorted(nodes, key=len, reverse=True)[:-1]:
        parent = next(namespace[:length] for length in range(len(namespace) - 1, -1, -1) if namespace[:length] in nodes)
        nodes[parent].setdefault("children", []).insert(0, nodes[namespace])
    return nodes[()]
