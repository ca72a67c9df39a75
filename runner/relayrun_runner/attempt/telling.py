"""What a run tells: its graph's chunks and events as journal events, in the stream modes that were asked for."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig

from relayrun_core.runs import RunSpec
from relayrun_runner.attempt.events import event_name, give_ids_in, graph_modes, of_checkpoint, with_checkpoints
from relayrun_runner.endings import told
from relayrun_runner.graphs import Graph

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


class Teller:
    """Names events, and adds up the parts of messages for those who asked for whole ones."""

    def __init__(self, spec: RunSpec) -> None:
        self._for_protocol = _PROTOCOL_MODE in spec.stream_modes
        self._whole = _MESSAGES_MODE in spec.stream_modes and _TUPLE_MODE not in spec.stream_modes
        self._messages: dict[str, BaseMessage] = {}

    def tell(self, chunk: Chunk) -> Iterator[tuple[str, Any]]:
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
        logger.debug("the content of a message could not be brought into LangChain's forms: %s", told(error))
        return None


def _split(chunk: Any, spec: RunSpec) -> Chunk:
    if spec.stream_subgraphs:
        namespace, mode, data = chunk
        return namespace, mode, data
    return (), *chunk
