"""LangGraph's stream chunks as journal events: their names, and what is not told twice."""

from typing import Any
from uuid import uuid4

from langchain_core.messages import BaseMessage

from relayrun_core.database import Database
from relayrun_core.db.journal import read_events
from relayrun_core.runs import Run
from relayrun_core.storable import storable_text
from relayrun_runner.attempt.config import without_user
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
    "tools": "tools",
}

_METADATA = "__metadata__"
_CHECKPOINT_KEYS = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")


def graph_modes(asked: list[str]) -> list[str]:
    """The modes to stream a graph with, at least one."""
    wanted = dict.fromkeys(_GRAPH_MODES[mode] for mode in asked if mode in _GRAPH_MODES)
    return list(wanted) or ["updates"]


def event_name(mode: str, namespace: tuple[str, ...]) -> str:
    """The event's name: the mode, and for a subgraph's event the path to it, as in `updates|node:id`."""
    return storable_text("|".join((mode, *namespace)))


def is_cached(mode: str, data: Any) -> bool:
    """Whether LangGraph tells a finished task's update again, because the step it belongs to goes on."""
    return mode == "updates" and isinstance(data, dict) and bool((data.get(_METADATA) or {}).get("cached"))


def give_ids(value: Any) -> None:
    """Give messages among what a node writes to a channel the ids by which the state will know them.

    A node's update is told before it is applied. LangGraph's reducer would give ids then, and keeps these; given before
    the writes are saved, they are the same after a crash.
    """
    for message in value if isinstance(value, list) else (value,):
        if isinstance(message, BaseMessage) and message.id is None:
            message.id = str(uuid4())


def give_ids_in(update: Any) -> None:
    """The same in an update as it is told: what each node wrote, by channel."""
    for written in update.values() if isinstance(update, dict) else ():
        for part in written if isinstance(written, list) else (written,):
            for value in part.values() if isinstance(part, dict) else (part,):
                give_ids(value)


def of_checkpoint(told: dict[str, Any]) -> dict[str, Any]:
    """What is told of a checkpoint: everybody reads it who may read the thread."""
    return {**told, **{name: without_user(told[name]) for name in ("config", "parent_config") if told.get(name)}}


def with_checkpoints(told: Any) -> Any:
    """A debug event with its checkpoints named as the Agent Server does, beside LangGraph's configs."""
    if not isinstance(told, dict) or told.get("type") != "checkpoint":
        return told
    payload = of_checkpoint(told["payload"])
    named = {
        "checkpoint": _checkpoint(payload.get("config")),
        "parent_checkpoint": _checkpoint(payload.get("parent_config")),
        "tasks": [_task(task) for task in payload.get("tasks") or ()],
    }
    return {**told, "payload": {**payload, **named}}


def _task(task: dict[str, Any]) -> dict[str, Any]:
    state = task.get("state")
    if not isinstance(state, dict) or "configurable" not in state:
        return task
    return {**{key: value for key, value in task.items() if key != "state"}, "checkpoint": _checkpoint(state)}


def _checkpoint(config: dict[str, Any] | None) -> dict[str, Any] | None:
    configurable = (config or {}).get("configurable")
    return {key: configurable[key] for key in _CHECKPOINT_KEYS if key in configurable} if configurable else None


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
