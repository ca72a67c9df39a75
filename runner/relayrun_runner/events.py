"""LangGraph's stream chunks as journal events: their names, and what is not told twice."""

from typing import Any

from relayrun_core.database import Database
from relayrun_core.runs import Run
from relayrun_core.store.journal import read_events
from relayrun_runner.serialize import dumps

# What a client asks for, as LangGraph's `astream` calls it.
_GRAPH_MODES = {
    "values": "values",
    "updates": "updates",
    "messages-tuple": "messages",
    "messages": "messages",
    "custom": "custom",
    "debug": "debug",
    "tasks": "tasks",
    "checkpoints": "checkpoints",
}

_METADATA = "__metadata__"


def graph_modes(asked: list[str]) -> list[str]:
    """The modes to stream a graph with, at least one."""
    wanted = dict.fromkeys(_GRAPH_MODES[mode] for mode in asked if mode in _GRAPH_MODES)
    return list(wanted) or ["updates"]


def event_name(mode: str, namespace: tuple[str, ...]) -> str:
    """The event's name: the mode, and for a subgraph's event the path to it, as in `updates|node:id`."""
    return "|".join((mode, *namespace))


def is_cached(mode: str, data: Any) -> bool:
    """Whether LangGraph tells a finished task's update again, because the step it belongs to goes on."""
    return mode == "updates" and isinstance(data, dict) and bool((data.get(_METADATA) or {}).get("cached"))


class ToldBefore:
    """The updates that earlier attempts of a run have journaled, read when first asked for.

    An update LangGraph repeats is dropped only when it is here: the attempt before may have died between saving a
    task's writes and journaling its update, and then this is its only telling.
    """

    def __init__(self, database: Database, run: Run) -> None:
        self._database = database
        self._run = run
        self._told: set[tuple[str, bytes]] | None = None

    async def contains(self, name: str, data: dict[str, Any]) -> bool:
        """Whether this update, without its metadata, is in the journal already."""
        if self._run.attempt == 1:
            return False
        if self._told is None:
            self._told = await self._read()
        return (name, dumps({key: value for key, value in data.items() if key != _METADATA})) in self._told

    async def _read(self) -> set[tuple[str, bytes]]:
        told: set[tuple[str, bytes]] = set()
        after = -1
        while page := await read_events(self._database, self._run.run_id, after):
            told.update((event.event, event.data) for event in page if event.event.startswith("updates"))
            after = page[-1].seq
        return told
