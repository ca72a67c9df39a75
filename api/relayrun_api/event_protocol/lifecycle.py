"""When subgraphs start and end, as their tasks tell it. Pure.

The first task at a namespace starts it; the end of the task of the same id, one level up, ends it. These rules are
LangGraph's (its `LifecycleTransformer`), names of agents and causes included.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relayrun_api.event_protocol.events import Namespace


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """A subgraph has started or ended."""

    namespace: Namespace
    data: dict[str, Any]


class Subgraphs:
    """The subgraphs of one run."""

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
