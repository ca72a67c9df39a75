"""Threads' states and histories: asked of a runner, which has the graph; else as of the thread's last finish."""

from collections.abc import Mapping
from typing import Any

import orjson

from relayrun_api.answers import dumps
from relayrun_api.errors import Invalid, RunnersAway
from relayrun_api.services.graphs import GraphCatalog
from relayrun_api.services.runners import Runners
from relayrun_core.store.rows import Thread

#: The `metadata.source` of a state that no runner could be asked for.
AS_OF_LAST_FINISH = "last_finish"

_EMPTY: dict[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


class StateService:
    """Reads and edits the states of threads that the caller may see."""

    def __init__(self, runners: Runners, catalog: GraphCatalog) -> None:
        self._runners = runners
        self._catalog = catalog

    async def state(self, thread: Thread, *, checkpoint: Mapping[str, Any], subgraphs: bool) -> bytes:
        """A state of the thread as JSON: the newest, or that of a checkpoint."""
        at = await self._graph_of(thread)
        if at is None:
            return dumps(_EMPTY)
        params = {"graph": at[1], "subgraphs": str(subgraphs).lower()}
        params |= {key: str(checkpoint[key]) for key in ("checkpoint_id", "checkpoint_ns") if checkpoint.get(key)}
        try:
            return await self._runners.ask(*at, "GET", f"/threads/{thread.thread_id}/state", params=params)
        except RunnersAway:
            if checkpoint:
                raise
            return dumps(last_finish(thread))

    async def update(self, thread: Thread, body: Mapping[str, Any]) -> bytes:
        """Edit the thread's state. Raises Conflict while it has an unfinished run, RunnersAway."""
        agent, graph = await self._needed(thread)
        path = f"/threads/{thread.thread_id}/state"
        return await self._runners.ask(agent, graph, "POST", path, body={"graph": graph, **body})

    async def history(self, thread: Thread, query: Mapping[str, Any]) -> bytes:
        """The thread's states as a JSON list, newest first."""
        at = await self._graph_of(thread)
        if at is None:
            return b"[]"
        path = f"/threads/{thread.thread_id}/history"
        return await self._runners.ask(*at, "POST", path, body={"graph": at[1], **query})

    async def values(self, thread: Thread) -> Any:
        """The thread's values: as they are now while a run is under way, else as of the last finish."""
        if thread.status != "busy":
            return thread.values
        state = orjson.loads(await self.state(thread, checkpoint={}, subgraphs=False))
        return state.get("values")

    async def _needed(self, thread: Thread) -> tuple[str, str]:
        at = await self._graph_of(thread)
        if at is None:
            raise Invalid("The thread has no graph yet: start a run on it, or create it with a `graph_id`.")
        return at

    async def _graph_of(self, thread: Thread) -> tuple[str, str] | None:
        """The agent and graph of the thread's last run, else the graph its metadata names."""
        if thread.agent is not None and thread.graph is not None:
            return thread.agent, thread.graph
        named = thread.metadata.get("graph_id")
        assistant = await self._catalog.find(named) if isinstance(named, str) else None
        return (assistant.graph.agent, assistant.graph.graph) if assistant else None


def last_finish(thread: Thread) -> dict[str, Any]:
    """A state from the thread's row, marked as such."""
    interrupts = [{"id": entry.id, "value": entry.value} for entry in thread.interrupts]
    tasks = [
        {
            "id": entry.task_id,
            "name": None,
            "error": None,
            "interrupts": [{"id": entry.id, "value": entry.value}],
            "checkpoint": None,
            "state": None,
            "result": None,
        }
        for entry in thread.interrupts
    ]
    return _EMPTY | {
        "values": thread.values or {},
        "tasks": tasks,
        "interrupts": interrupts,
        "metadata": {"source": AS_OF_LAST_FINISH},
        "created_at": thread.updated_at,
    }
