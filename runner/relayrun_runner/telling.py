"""What a run tells: its graph's chunks and events as journal events, in the stream modes that were asked for."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig

from relayrun_core.runs import RunSpec
from relayrun_runner.events import event_name, graph_modes
from relayrun_runner.graphs import Graph

Chunk = tuple[tuple[str, ...], str, Any]

#: LangChain's events, for clients that draw a graph's inner life.
EVENTS_MODE = "events"
_MESSAGES_MODE = "messages"
_TUPLE_MODE = "messages-tuple"


async def chunks(
    graph: Graph, given: Any, config: RunnableConfig, spec: RunSpec, **options: Any
) -> AsyncIterator[Chunk]:
    """The graph's chunks as (namespace, mode, data), its LangChain events among them when they were asked for."""
    options |= {"stream_mode": graph_modes(spec.stream_modes), "subgraphs": spec.stream_subgraphs}
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


class Teller:
    """Names events, and adds up the parts of messages for those who asked for whole ones."""

    def __init__(self, spec: RunSpec) -> None:
        self._whole = _MESSAGES_MODE in spec.stream_modes and _TUPLE_MODE not in spec.stream_modes
        self._messages: dict[str, BaseMessage] = {}

    def tell(self, chunk: Chunk) -> Iterator[tuple[str, Any]]:
        """The events of a chunk, as (name, data)."""
        namespace, mode, data = chunk
        if mode != _MESSAGES_MODE or not self._whole:
            yield event_name(mode, namespace), data
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


def _split(chunk: Any, spec: RunSpec) -> Chunk:
    if spec.stream_subgraphs:
        namespace, mode, data = chunk
        return namespace, mode, data
    return (), *chunk
