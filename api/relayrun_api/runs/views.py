"""Rows as the JSON of the LangGraph Agent Server. Pure."""

from datetime import timedelta
from typing import Any

from relayrun_api.assistants.lookup import Assistant
from relayrun_core.db.assistants import AssistantVersion
from relayrun_core.db.rows import Thread, Ttl
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus


def thread_view(thread: Thread) -> dict[str, Any]:
    """A thread; `interrupts` are those by task."""
    interrupts: dict[str, list[dict[str, Any]]] = {}
    for entry in thread.interrupts:
        interrupts.setdefault(entry.task_id, []).append({"id": entry.id, "value": entry.value})
    return {
        "thread_id": thread.thread_id,
        "name": thread.name,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "state_updated_at": thread.state_updated_at,
        "metadata": thread.metadata,
        "status": thread.status,
        "config": thread.config,
        "values": thread.values,
        "interrupts": interrupts,
        "error": None if thread.error is None else public_error(thread.error),
    }


def ttl_view(thread: Thread, default: timedelta | None) -> dict[str, Any] | None:
    """How long a thread is kept; None: for ever."""
    ttl = thread.ttl or (Ttl(default / timedelta(minutes=1)) if default else None)
    if ttl is None:
        return None
    expires_at = thread.updated_at + timedelta(minutes=ttl.minutes)
    return {"strategy": ttl.strategy, "ttl_minutes": ttl.minutes, "expires_at": expires_at}


def run_view(run: Run, *, tracebacks: bool) -> dict[str, Any]:
    """A run; what the Agent Server does not know stands behind what it does.

    `tracebacks`: whether whoever asks may see the author's code and paths: an admin.
    """
    spec = run.spec
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "status": agent_server_status(run.status),
        "metadata": spec.metadata,
        "kwargs": {
            "input": spec.input,
            "command": spec.command,
            "config": spec.config,
            "context": spec.context or {},
            "stream_mode": spec.stream_modes,
            "interrupt_before": spec.interrupt_before,
            "interrupt_after": spec.interrupt_after,
            "webhook": spec.webhook,
            "feedback_keys": None,
            "temporary": spec.on_completion == "delete",
            "subgraphs": spec.stream_subgraphs,
            "resumable": True,
            "checkpoint_during": spec.durability != "exit",
            "durability": spec.durability,
        },
        "multitask_strategy": spec.multitask_strategy,
        "cancel_reason": run.message if run.status is RunStatus.CANCELLED else None,
        "agent": run.agent,
        "graph": run.graph,
        "number": run.number,
        "attempt": run.attempt,
        "runner": run.runner,
        "reason": run.reason,
        "message": run.message,
        "error": run.error if tracebacks else _without_traceback(run.error),
        "checkpoint_id": run.checkpoint_id,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def assistant_view(assistant: Assistant) -> dict[str, Any]:
    """An assistant at its current version."""
    row = assistant.row
    return {
        "assistant_id": row.assistant_id,
        "graph_id": assistant.graph_id,
        "config": row.config,
        "context": row.context,
        "metadata": row.metadata,
        "name": row.name,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "version": row.version,
        "description": row.description,
    }


def version_view(version: AssistantVersion, graph_id: str) -> dict[str, Any]:
    """One version of an assistant."""
    return {
        "assistant_id": version.assistant_id,
        "version": version.version,
        "graph_id": graph_id,
        "config": version.config,
        "context": version.context,
        "metadata": version.metadata,
        "created_at": version.created_at,
        "name": version.name,
        "description": version.description,
    }


def schemas_view(graph_id: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """A graph's JSON schemas; null where LangGraph cannot make one."""
    return {"graph_id": graph_id, **subgraph_schemas_view(schemas)}


def subgraph_schemas_view(schemas: dict[str, Any]) -> dict[str, Any]:
    """A subgraph's JSON schemas."""
    return {f"{kind}_schema": schemas.get(kind) for kind in ("input", "output", "state", "config", "context")}


def agent_server_status(status: RunStatus) -> str:
    """Our run states in the Agent Server's words, which has none for cancelled and delayed. A run that waits for an
    answer has succeeded in asking.
    """
    match status:
        case RunStatus.INTERRUPTED:
            return "success"
        case RunStatus.CANCELLED:
            return "interrupted"
        case RunStatus.DELAYED:
            return "pending"
        case _:
            return status.value


def our_statuses(status: str) -> list[RunStatus]:
    """The run states that the Agent Server calls `status`."""
    return [ours for ours in RunStatus if agent_server_status(ours) == status]


def _without_traceback(error: dict[str, Any] | None) -> dict[str, Any] | None:
    return error and {name: value for name, value in error.items() if name != "traceback"}


def public_error(error: dict[str, Any]) -> dict[str, Any]:
    """What everybody may know of an error who may know of its run."""
    return {"error": error.get("error"), "message": error.get("message")}
