"""Rows as the JSON of the LangGraph Agent Server. Pure."""

from datetime import datetime
from typing import Any

from relayrun_api.services.graphs import Assistant
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus
from relayrun_core.store.rows import Thread


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
        "state_updated_at": thread.updated_at,
        "metadata": thread.metadata,
        "status": thread.status,
        "config": {},
        "values": thread.values,
        "interrupts": interrupts,
        "error": None if thread.error is None else public_error(thread.error),
    }


def run_view(run: Run) -> dict[str, Any]:
    """A run; what the Agent Server does not know stands behind what it does."""
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
            "subgraphs": spec.stream_subgraphs,
            "durability": spec.durability,
        },
        "multitask_strategy": spec.multitask_strategy,
        "agent": run.agent,
        "graph": run.graph,
        "number": run.number,
        "attempt": run.attempt,
        "runner": run.runner,
        "reason": run.reason,
        "message": run.message,
        "error": run.error,
        "checkpoint_id": run.checkpoint_id,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def assistant_view(assistant: Assistant) -> dict[str, Any]:
    """A graph's default assistant."""
    since: datetime = assistant.graph.registered_at
    return {
        "assistant_id": assistant.assistant_id,
        "graph_id": assistant.name,
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "name": assistant.name,
        "description": assistant.graph.description,
        "version": 1,
        "created_at": since,
        "updated_at": since,
    }


def schemas_view(graph_id: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """A graph's JSON schemas; null where LangGraph cannot make one."""
    kinds = ("input", "output", "state", "config", "context")
    return {"graph_id": graph_id, **{f"{kind}_schema": schemas.get(kind) for kind in kinds}}


def agent_server_status(status: RunStatus) -> str:
    """Our run states in the Agent Server's words, which has none for cancelled."""
    return "interrupted" if status is RunStatus.CANCELLED else status.value


def our_statuses(status: str) -> list[RunStatus]:
    """The run states that the Agent Server calls `status`."""
    return [ours for ours in RunStatus if agent_server_status(ours) == status]


def public_error(error: dict[str, Any]) -> dict[str, Any]:
    """An error without its traceback."""
    return {"error": error.get("error"), "message": error.get("message")}
