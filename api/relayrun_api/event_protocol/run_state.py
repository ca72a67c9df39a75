"""The state of a run while its journal is translated: open subgraphs, tool calls and interrupts. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from relayrun_api.event_protocol.events import Namespace, Part, ProtocolEvent, event_of
from relayrun_api.http.responses import loads
from relayrun_core.runs import Run

_ENDS = frozenset(("tool-finished", "tool-error"))


class Tools:
    """The tool calls of one run: which of them have begun and not ended."""

    def __init__(self) -> None:
        self._open: dict[tuple[Namespace, str], None] = {}  # a set that keeps its order

    def heard(self, namespace: Namespace, data: bytes) -> ProtocolEvent:
        """What the journal has of a call."""
        chunk = loads(data)
        call = (namespace, str(chunk.get("tool_call_id")))
        if chunk.get("event") == "tool-started":
            self._open[call] = None
        elif chunk.get("event") in _ENDS:
            self._open.pop(call, None)
        return ProtocolEvent("tools", namespace, data, "tools", Part.TOOLS)

    def all_failed(self, message: str, code: str) -> Iterator[ProtocolEvent]:
        """Those that are open end with an error."""
        for nth, (namespace, call_id) in enumerate(self._open):
            data = {"event": "tool-error", "tool_call_id": call_id, "message": message, "code": code}
            yield event_of("tools", namespace, data, Part.TOOLS, nth)
        self._open.clear()


#: The stream modes of a run that is started by the protocol; `lifecycle` has its runner say what the protocol needs
#: beyond them.
PROTOCOL_MODES = ("values", "updates", "messages-tuple", "custom", "tasks", "checkpoints", "tools", "lifecycle")


@dataclass(frozen=True)
class ProtocolRun:
    """What is known of a run besides its journal. `answered`: the interrupts that it answers."""

    run_id: str
    number: int
    graph: str
    modes: Sequence[str] = PROTOCOL_MODES
    answered: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Run) -> "ProtocolRun":
        """That of a run's row."""
        answered = tuple(answer.interrupt_id for answer in run.spec.answers)
        return cls(str(run.run_id), run.number, run.graph, run.spec.stream_modes, answered)


class Questions:
    """The questions of one run, and those that it answers.

    They are told in the run's end, when they can be answered: other steps may go on meanwhile, and may fail.
    """

    def __init__(self, run: ProtocolRun) -> None:
        self._run = run
        self._asked: dict[str, ProtocolEvent] = {}

    def answered(self) -> Iterator[ProtocolEvent]:
        """That the run answers some."""
        if self._run.answered:
            yield event_of("input.answered", (), {"interrupt_ids": self._run.answered}, Part.INPUT, channel="input")

    def ask(self, namespace: Namespace, interrupts: Any) -> None:
        """Remember questions: of the innermost graph that asks, which is the first to tell it."""
        for interrupt in interrupts or ():
            identity = interrupt.get("id")
            if not isinstance(identity, str) or identity in self._asked:
                continue
            value, schema = interrupt.get("value"), interrupt.get("response_schema")
            # Python's client reads `value`.
            data = {"interrupt_id": identity, "payload": value, "value": value}
            self._asked[identity] = event_of(
                "input.requested",
                namespace,
                data if schema is None else {**data, "response_schema": schema},
                Part.INPUT,
                len(self._asked),
                channel="input",
                identity=f"synth:{self._run.run_id}:input|{'/'.join(namespace)}|{identity}",
            )

    def all(self) -> Iterable[ProtocolEvent]:
        """What was asked, in order."""
        return self._asked.values()


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """A subgraph has started or ended."""

    namespace: Namespace
    data: dict[str, Any]


class Subgraphs:
    """The subgraphs of one run: when they start and end, as their tasks tell it.

    The first task at a namespace starts it; the end of the task of the same id, one level up, ends it. These rules are
    LangGraph's (its `LifecycleTransformer`), names of agents and causes included.
    """

    def __init__(self) -> None:
        self._seen: set[Namespace] = set()
        self._open: dict[Namespace, str | None] = {}
        self._tool_calls: dict[str, str] = {}

    def task_started(self, namespace: Namespace, task: dict[str, Any]) -> Iterator[LifecycleEvent]:
        """A task has started at `namespace`."""
        if (call_id := _tool_call_of(task)) is not None:
            self._tool_calls[task["id"]] = call_id
        agent = (task.get("metadata") or {}).get("lc_agent_name")
        yield from self.met(namespace, agent)

    def met(self, namespace: Namespace, agent: str | None = None) -> Iterator[LifecycleEvent]:
        """Something has happened at `namespace`; `agent` is its name where it is an agent's."""
        if not namespace or namespace in self._seen:
            return
        self._seen.add(namespace)
        node, _, task_id = namespace[-1].partition(":")
        self._open[namespace] = name = agent or node or None
        data: dict[str, Any] = {"event": "started", "graph_name": name, "trigger_call_id": task_id or None}
        if agent is not None and task_id in self._tool_calls:
            data["cause"] = {"type": "toolCall", "tool_call_id": self._tool_calls[task_id]}
        yield LifecycleEvent(namespace, {key: value for key, value in data.items() if value is not None})

    def task_ended(self, namespace: Namespace, task: dict[str, Any]) -> Iterator[LifecycleEvent]:
        """A task has ended at `namespace`; the subgraph that it called has too."""
        for child in list(self._open):
            if child[:-1] == namespace and child[-1].partition(":")[2] == task.get("id"):
                if task.get("interrupts"):
                    yield self._end(child, "interrupted", None)
                else:
                    error = error_of(task)
                    yield self._end(child, "completed" if error is None else "failed", error)

    def all_ended(self, event: str, error: str | None) -> Iterator[LifecycleEvent]:
        """The run is over: the innermost end first."""
        for namespace in sorted(self._open, key=len, reverse=True):
            yield self._end(namespace, event, error)

    def _end(self, namespace: Namespace, event: str, error: str | None) -> LifecycleEvent:
        data = {"event": event, "graph_name": self._open.pop(namespace), "error": error}
        return LifecycleEvent(namespace, {key: value for key, value in data.items() if value is not None})


def error_of(task: dict[str, Any]) -> str | None:
    """Why a task failed; None: it did not."""
    error = task.get("error")
    if not error:
        return None
    return str(error.get("message") or error.get("error")) if isinstance(error, dict) else str(error)


def _tool_call_of(task: dict[str, Any]) -> str | None:
    """The call that a task of LangGraph's ToolNode executes."""
    given = task.get("input")
    calls = given if isinstance(given, list) else [given.get("tool_call")] if isinstance(given, dict) else []
    ids = [call.get("id") for call in calls if isinstance(call, dict)]
    return next((call_id for call_id in ids if isinstance(call_id, str)), None)
