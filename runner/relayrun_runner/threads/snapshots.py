"""LangGraph's state snapshots in the JSON forms of the LangGraph Agent Server. Pure functions."""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from relayrun_core.runs import OutputKeys
from relayrun_runner.graphs.loading import Graph

#: What a checkpoint's metadata has of the edit that made it; the runners' own, and nobody's business.
EDIT_ID = "relayrun_edit_id"

_CHECKPOINT_KEYS = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")


def thread_state(snapshot: StateSnapshot) -> dict[str, Any]:
    """A `ThreadState` of the SDK; before the first checkpoint `checkpoint` is None."""
    checkpoint = checkpoint_of(snapshot.config) if snapshot.created_at or _names_one(snapshot.config) else None
    parent = checkpoint_of(snapshot.parent_config) if snapshot.parent_config else None
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "metadata": _metadata(snapshot.metadata),
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [interrupt_json(interrupt) for interrupt in snapshot.interrupts],
        "checkpoint_id": checkpoint and checkpoint.get("checkpoint_id"),
        "parent_checkpoint_id": parent and parent.get("checkpoint_id"),
    }


def output_keys(graph: Graph) -> OutputKeys:
    """Which of its state's values the graph tells those who wait for it: with an `output_schema` only its keys."""
    shown, output = graph.stream_channels_asis, graph.output_channels
    if isinstance(output, str):
        return None if output == shown else output
    return None if set(output) == set(graph.stream_channels_list) else list(output)


def checkpoint_of(config: RunnableConfig) -> dict[str, Any]:
    """What of a config names a checkpoint."""
    configurable = config.get("configurable") or {}
    return {key: configurable[key] for key in _CHECKPOINT_KEYS if key in configurable}


def interrupt_json(interrupt: Interrupt) -> dict[str, Any]:
    """A question: its id, what it asks, and the form of its answer, null where the graph does not say it."""
    asked = getattr(interrupt, "response_schema", None)  # LangGraph's first 1.2 versions have none
    return {"id": interrupt.id, "value": interrupt.value, "response_schema": asked}


def _metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return metadata and _as_stored({key: value for key, value in metadata.items() if key != EDIT_ID})


def _as_stored(value: Any) -> Any:
    """In the order in which `jsonb` has keys: metadata is told alike before it was written and when it was read."""
    if isinstance(value, list):
        return [_as_stored(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {key: _as_stored(value[key]) for key in sorted(value, key=_jsonb_order)}


def _jsonb_order(key: str) -> tuple[int, bytes]:
    text = key.encode(errors="surrogatepass")
    return len(text), text


def _task(task: PregelTask) -> dict[str, Any]:
    inner = task.state if isinstance(task.state, StateSnapshot) else None
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": None if task.error is None else _error_text(task.error),
        "interrupts": [interrupt_json(interrupt) for interrupt in task.interrupts],
        # With subgraphs the state itself says where it is; without, only where to ask for it.
        "checkpoint": checkpoint_of(task.state) if isinstance(task.state, dict) else None,
        "state": thread_state(inner) if inner is not None else None,
        "result": task.result,
    }


def _error_text(error: Any) -> str:
    return f"{type(error).__name__}({error})" if isinstance(error, BaseException) else str(error)


def _names_one(config: RunnableConfig) -> bool:
    return "checkpoint_id" in (config.get("configurable") or {})
