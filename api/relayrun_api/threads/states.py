"""Threads' states and histories. The newest state is as the last finish or edit left it, which nobody needs to be asked
for; for all else, and while a run is under way, a runner is asked, which has the graph.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import orjson

from relayrun_api.http.errors import BadRequest, Invalid, RunnersAway
from relayrun_api.http.responses import dumps, loads
from relayrun_api.runners.client import Runners
from relayrun_api.runners.graphs import GraphCatalog
from relayrun_api.runners.transport import RunnerReading
from relayrun_core.database import Database
from relayrun_core.db.heads import NewestState, is_blank, made_by, newest_state
from relayrun_core.db.rows import Thread
from relayrun_core.db.threads import NewThread
from relayrun_core.runner_requests import SELECTED_HEADER, parts_of
from relayrun_core.runs import select_output

#: The `metadata.source` of a state that no runner could be asked for, and that may have changed since.
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

    def __init__(self, database: Database, runners: Runners, catalog: GraphCatalog) -> None:
        self._database = database
        self._runners = runners
        self._catalog = catalog

    async def state(self, thread: Thread, *, checkpoint: Mapping[str, Any], subgraphs: bool) -> bytes:
        """A state of the thread as JSON: the newest, or that of a checkpoint. Raises RunnersAway."""
        at = await self._graph_of(thread)
        if at is None:
            return dumps(_EMPTY)
        place = {key: str(checkpoint[key]) for key in ("checkpoint_id", "checkpoint_ns") if checkpoint.get(key)}
        newest = None if place else await newest_state(self._database, thread.thread_id)
        if newest is not None and subgraphs and newest.has_subgraphs:
            newest = None  # theirs are nowhere but in their checkpoints
        if newest is not None and not newest.busy and await self._would_show(thread, at, newest):
            return newest.json()
        params = {"graph": at[1], "subgraphs": str(subgraphs).lower(), **place}
        try:
            return await self._runners.ask(*at, "GET", f"/threads/{thread.thread_id}/state", params=params)
        except RunnersAway:
            if place or (known := await self._as_of_last_finish(thread, newest)) is None:
                raise
            return known

    async def _would_show(self, thread: Thread, at: tuple[str, str], newest: NewestState) -> bool:
        """Whether any runner that the thread may go on at would answer with the same."""
        offered = await self._catalog.find_of(*at)
        if offered is None:
            return False
        pinned = thread.revision if self._catalog.pins(at[0]) else None
        return newest.made_by == made_by(*at, pinned or offered.graph.build)

    async def _as_of_last_finish(self, thread: Thread, newest: NewestState | None) -> bytes | None:
        """The state as of the last finish, marked as such; None where nobody has kept it."""
        if newest is not None:
            return newest.marked(AS_OF_LAST_FINISH)
        if thread.values is None and await is_blank(self._database, thread.thread_id):
            return dumps(_EMPTY | {"metadata": {"source": AS_OF_LAST_FINISH}})
        return None

    async def update(self, thread: Thread, body: Mapping[str, Any]) -> bytes:
        """Edit the thread's state, once. Raises Conflict while it has an unfinished run, BadRequest for what the graph
        refuses, RunnersAway.
        """
        agent, graph = await self._needed(thread)
        path = f"/threads/{thread.thread_id}/state"
        try:
            return await self._runners.ask(
                agent, graph, "POST", path, body={**body, "graph": graph, "edit_id": uuid4()}
            )
        except Invalid as error:
            raise BadRequest(error.detail) from error

    async def create(self, new: NewThread, supersteps: Sequence[Mapping[str, Any]]) -> bool:
        """Make a thread with the state that the supersteps lead to; False, and nothing, where it exists by now.

        Raises Invalid for what the graph refuses, RunnersAway.
        """
        agent, graph = await self._named(new.metadata.get("graph_id"))
        body = {
            "graph": graph,
            "supersteps": supersteps,
            "owner": new.owner,
            "name": new.name,
            "metadata": new.metadata,
            "ttl_minutes": new.ttl.minutes if new.ttl else None,
            "ttl_strategy": new.ttl.strategy if new.ttl else "delete",
        }
        answer = await self._runners.ask(agent, graph, "POST", f"/threads/{new.thread_id}", body=body)
        created: bool = orjson.loads(answer)["created"]
        return created

    async def history(self, thread: Thread, query: Mapping[str, Any]) -> RunnerReading | bytes:
        """The thread's states as a JSON list, newest first; bytes where that is all of it. Raises RunnersAway."""
        at = await self._graph_of(thread)
        if at is None:
            return b"[]"
        reading = await self._runners.read(*at, f"/threads/{thread.thread_id}/history", {"graph": at[1], **query})
        select = query.get("select")
        if select and SELECTED_HEADER not in reading.response.headers:
            return selected(await reading.whole(), select)  # of a runner before it knew how
        return reading if reading.complete is None else reading.complete

    async def output(self, thread: Thread) -> Any:
        """What the graph tells of its values: as they are now while a run is under way, else as of the last finish."""
        at = await self._graph_of(thread) if thread.status == "busy" else None
        if at is None:
            return select_output(thread.values, thread.output_keys)
        params = {"graph": at[1], "output": "true"}
        try:
            answer = await self._runners.ask(*at, "GET", f"/threads/{thread.thread_id}/state", params=params)
        except RunnersAway:
            return select_output(thread.values, thread.output_keys)
        return loads(answer).get("values")

    async def _needed(self, thread: Thread) -> tuple[str, str]:
        at = await self._graph_of(thread)
        if at is None:
            raise BadRequest("The thread has no graph yet: start a run on it, or create it with a `graph_id`.")
        return at

    async def _named(self, graph_id: Any) -> tuple[str, str]:
        if not isinstance(graph_id, str):
            raise Invalid("The supersteps need a graph: name it as `graph_id` in the thread's metadata.")
        if found := await self._catalog.find(graph_id):
            return found.graph.agent, found.graph.graph
        await self._catalog.require_some()
        raise Invalid(f"Graph {graph_id!r} not found: {await self._catalog.choices()}")

    async def _graph_of(self, thread: Thread) -> tuple[str, str] | None:
        """The agent and graph of the thread's last run, else the graph its metadata names."""
        last = (thread.agent, thread.graph) if thread.agent is not None and thread.graph is not None else None
        try:
            if last is not None and await self._catalog.find_of(*last):
                return last
            # Its agent has gone: runs by the graph's name go on at who has that now.
            named = thread.metadata.get("graph_id")
            offered = await self._catalog.find(named) if isinstance(named, str) else None
        except RunnersAway:
            if last is None:
                raise
            return last
        return (offered.graph.agent, offered.graph.graph) if offered else last


def selected(state: bytes, fields: Sequence[str] | None) -> bytes:
    """Parts of a state or of a list of states: its members by their names, or one of its values as `values.<key>`."""
    if not fields:
        return state
    given = loads(state)
    parts = [parts_of(entry, fields) for entry in given] if isinstance(given, list) else parts_of(given, fields)
    return dumps(parts)
