"""Plays a runner: claims runs and writes their journals with core's own functions, step by step as a test wants."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import orjson

from relayrun_core.database import Database
from relayrun_core.db.agents import NewGraph, register_graphs
from relayrun_core.db.claim import Claim, Claimed, claim
from relayrun_core.db.finish import finish
from relayrun_core.db.journal import Event, append, first_seq
from relayrun_core.runs import Outcome, PendingInterrupt
from relayrun_core.states import Reason

MESSAGES = {"type": "object", "properties": {"messages": {"type": "array"}}}
STEPS = {"type": "object", "properties": {"steps": {"type": "array"}}}


async def register(
    database: Database, graph: str, schema: dict[str, Any], agent: str = "default", *, build: str = "1"
) -> None:
    drawing = {"graph": {"nodes": [{"id": "a"}], "edges": []}, "subgraphs": {"inner": {"input": schema}}}
    schemas = {"input": schema, "output": schema, "state": schema, "config": {}, "context": None}
    await register_graphs(database, [NewGraph(graph, schemas, drawing)], agent=agent, build=build)


class Attempt:
    """One attempt at a run."""

    def __init__(self, database: Database, run_id: UUID, number: int = 1) -> None:
        self._database = database
        self.run_id = run_id
        self.number = number
        self._seq = first_seq(number)

    @classmethod
    async def begin(cls, database: Database, run_id: UUID | str, number: int = 1) -> Attempt:
        """Claim the run and journal the attempt's first event."""
        run_id = UUID(str(run_id))
        answer = await claim(database, Claim(run_id, number, uuid4(), f"runner-{number}", excused=True))
        assert isinstance(answer, Claimed), answer
        attempt = cls(database, run_id, number)
        await attempt.tell("metadata", {"run_id": str(run_id), "attempt": number})
        return attempt

    async def tell(self, event: str, data: Any) -> int:
        """Journal one event; its seq is returned."""
        seq, self._seq = self._seq, self._seq + 1
        async with self._database.connection() as conn:
            await append(conn, self.run_id, self.number, [Event(seq, event, orjson.dumps(data))])
        return seq

    async def succeed(self, values: Any = None, **more: Any) -> None:
        await self._finish(Outcome(Reason.SUCCEEDED, values=orjson.dumps(values or {}), interrupts=(), **more))

    async def pause(self, values: Any, *interrupts: PendingInterrupt, **more: Any) -> None:
        given = orjson.dumps(values)
        await self._finish(Outcome(Reason.WAITING_FOR_INPUT, values=given, interrupts=interrupts, **more))

    async def fail(self, kind: str, message: str) -> None:
        error = {"error": kind, "message": message, "traceback": "secret path"}
        await self._finish(Outcome(Reason.GRAPH_ERROR, message, error=error))

    async def _finish(self, outcome: Outcome) -> None:
        await finish(self._database, self.run_id, self.number, outcome)


def ai(text: str, message_id: str, *, chunk: bool = False, calls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    kind = "AIMessageChunk" if chunk else "ai"
    return {"type": kind, "content": text, "id": message_id, "tool_calls": calls or [], "name": None}


def tool(text: str, call_id: str, status: str = "success") -> dict[str, Any]:
    return {
        "type": "tool",
        "content": text,
        "id": f"of-{call_id}",
        "tool_call_id": call_id,
        "name": "t",
        "status": status,
    }


def human(text: str, message_id: str) -> dict[str, Any]:
    return {"type": "human", "content": text, "id": message_id}
