"""Encodes a graph's chunks and events as journal events, in the requested stream modes."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

from langchain_core.messages import AIMessage, BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig

from relayrun_core.database import Database
from relayrun_core.db.journal import read_events
from relayrun_core.runs import Run, RunSpec
from relayrun_core.storable import storable_text
from relayrun_runner.attempt.config import without_user
from relayrun_runner.author_errors import error_text
from relayrun_runner.graphs.loading import Graph
from relayrun_runner.graphs.serialize import dumps

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


def of_checkpoint(shown: dict[str, Any]) -> dict[str, Any]:
    """What is told of a checkpoint: everybody reads it who may read the thread."""
    return {**shown, **{name: without_user(shown[name]) for name in ("config", "parent_config") if shown.get(name)}}


def with_checkpoints(shown: Any) -> Any:
    """A debug event with its checkpoints named as the Agent Server does, beside LangGraph's configs."""
    if not isinstance(shown, dict) or shown.get("type") != "checkpoint":
        return shown
    payload = of_checkpoint(shown["payload"])
    named = {
        "checkpoint": _checkpoint(payload.get("config")),
        "parent_checkpoint": _checkpoint(payload.get("parent_config")),
        "tasks": [_task(task) for task in payload.get("tasks") or ()],
    }
    return {**shown, "payload": {**payload, **named}}


def _task(task: dict[str, Any]) -> dict[str, Any]:
    state = task.get("state")
    if not isinstance(state, dict) or "configurable" not in state:
        return task
    return {**{key: value for key, value in task.items() if key != "state"}, "checkpoint": _checkpoint(state)}


def _checkpoint(config: dict[str, Any] | None) -> dict[str, Any] | None:
    configurable = (config or {}).get("configurable")
    return {key: configurable[key] for key in _CHECKPOINT_KEYS if key in configurable} if configurable else None


class JournaledUpdates:
    """The updates that earlier attempts of a run have journaled, read when first asked for.

    An update LangGraph repeats is dropped only when it is here: the attempt before may have died between saving a
    task's writes and journaling its update, and then this is its only telling.
    """

    def __init__(self, database: Database, run: Run) -> None:
        self._database = database
        self._run = run
        self._journaled: set[tuple[str, bytes]] | None = None

    async def contains(self, name: str, data: dict[str, Any]) -> bool:
        """Whether this update, without its metadata, is in the journal already."""
        if self._run.attempt == 1:
            return False
        if self._journaled is None:
            self._journaled = await self._read()
        return (name, dumps({key: value for key, value in data.items() if key != _METADATA})) in self._journaled

    async def _read(self) -> set[tuple[str, bytes]]:
        shown: set[tuple[str, bytes]] = set()
        after = -1
        while page := await read_events(self._database, self._run.run_id, after):
            shown.update((event.event, event.data) for event in page if event.event.startswith("updates"))
            after = page[-1].seq
        return shown


logger = logging.getLogger("relayrun.runner")

Chunk = tuple[tuple[str, ...], str, Any]

#: LangChain's events, for clients that draw a graph's inner life.
EVENTS_MODE = "events"
_MESSAGES_MODE = "messages"
_TUPLE_MODE = "messages-tuple"
_UPDATES_MODE = "updates"
_DEBUG_MODE = "debug"
_CHECKPOINTS_MODE = "checkpoints"
# Of runs that the event protocol's clients start.
_PROTOCOL_MODE = "lifecycle"


async def chunks(
    graph: Graph, given: Any, config: RunnableConfig, spec: RunSpec, **options: Any
) -> AsyncIterator[Chunk]:
    """The graph's chunks as (namespace, mode, data), its LangChain events among them when they were asked for."""
    options |= {"stream_mode": graph_modes(spec.stream_modes), "subgraphs": spec.stream_subgraphs}
    if not {EVENTS_MODE, _PROTOCOL_MODE}.intersection(spec.stream_modes):
        # With these the Agent Server tells the whole state, which the steps' own events tell in any case.
        options["output_keys"] = graph.output_channels
    if EVENTS_MODE not in spec.stream_modes:
        async for chunk in graph.astream(given, config, **options):
            yield _split(chunk, spec)
        return
    modes = set(options["stream_mode"]) if any(mode != EVENTS_MODE for mode in spec.stream_modes) else set()
    root: UUID | str | None = None
    async for event in graph.astream_events(given, config, version="v2", **options):
        root = root or event["run_id"]
        if event["event"] == "on_chain_stream" and event["run_id"] == root:
            # What the graph itself streams comes in the modes that were asked for.
            split = _split(event["data"]["chunk"], spec)
            if split[1] in modes:
                yield split
        else:
            yield (), EVENTS_MODE, event


class EventEncoder:
    """Names events, and adds up the parts of messages for those who asked for whole ones."""

    def __init__(self, spec: RunSpec) -> None:
        self._for_protocol = _PROTOCOL_MODE in spec.stream_modes
        self._whole = _MESSAGES_MODE in spec.stream_modes and _TUPLE_MODE not in spec.stream_modes
        self._messages: dict[str, BaseMessage] = {}

    def encode(self, chunk: Chunk) -> Iterator[tuple[str, Any]]:
        """The events of a chunk, as (name, data)."""
        namespace, mode, data = chunk
        if mode == _UPDATES_MODE:
            give_ids_in(data)
        elif mode == _DEBUG_MODE:
            data = with_checkpoints(data)
        elif mode == _CHECKPOINTS_MODE:
            data = of_checkpoint(data)
        if mode != _MESSAGES_MODE or not self._whole:
            yield event_name(mode, namespace), _for_protocol(mode, data) if self._for_protocol else data
            return
        message, metadata = data
        known = self._messages.get(message.id)
        if known is None:
            yield event_name("messages/metadata", namespace), {message.id: {"metadata": metadata}}
        if isinstance(known, BaseMessageChunk) and isinstance(message, BaseMessageChunk):
            message = known + message
        self._messages[message.id] = message
        partial = isinstance(message, BaseMessageChunk)
        whole = message_chunk_to_message(message) if partial else message
        yield event_name("messages/partial" if partial else "messages/complete", namespace), [whole]


def _for_protocol(mode: str, data: Any) -> Any:
    if mode == _CHECKPOINTS_MODE:
        # Which checkpoint it is; the state is told as values.
        return {name: data[name] for name in ("config", "parent_config", "metadata")}
    if mode == _MESSAGES_MODE and (blocks := _content_blocks(data[0])) is not None:
        return [{**data[0].model_dump(), "content_blocks": blocks}, data[1]]
    return data


def _content_blocks(message: Any) -> list[Any] | None:
    """A model's message in LangChain's own forms, where the model's provider has others; None: they are the same."""
    if not isinstance(message, AIMessage) or (isinstance(message.content, str) and not message.additional_kwargs):
        return None  # the most frequent by far, and to ask takes twenty times as long as to write it down
    try:
        return list(message.content_blocks)
    except BaseException as error:  # noqa: BLE001 - what a provider's model says may be anything; told as it is, it is no error
        logger.debug("the content of a message could not be brought into LangChain's forms: %s", error_text(error))
        return None


def _split(chunk: Any, spec: RunSpec) -> Chunk:
    if spec.stream_subgraphs:
        namespace, mode, data = chunk
        return namespace, mode, data
    return (), *chunk
