"""Shares values that many checkpoints of a thread have in common: each is decoded once, and written as JSON once.

Each version of `messages` is kept as a copy of the whole list. A history of n turns would decode, and tell, each of
its messages up to 3 n times over: nearly all of its time.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
import ormsgpack
from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel import Pregel
from psycopg.rows import DictRow
from pydantic import AfterValidator, BaseModel, BeforeValidator, PlainValidator, WrapValidator

from relayrun_core.database import Database
from relayrun_core.storable import MAX_BYTES
from relayrun_runner.attempt.checkpoints import NULL_TASK_ID
from relayrun_runner.graphs.loading import Graph
from relayrun_runner.graphs.serialize import KEPT_OPTIONS, dumps_kept
from relayrun_runner.langgraph_internals import decoder_of

# Of encoded values; decoded and as JSON they are some ten times of it.
_MOST_BYTES = 16_000_000
# A client that reads a history often reads on, or reads it again after each run.
_KEPT_BYTES = 2_000_000
_KEPT_SECONDS = 30.0

Key = tuple[Any, int, bytes]


class _Shared:
    __slots__ = ("json", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.json: orjson.Fragment | None = None


class SharedValues:
    """The values of the histories that are read now, or have been a moment ago. Lives on the reading loop.

    They are shared only among states whose making calls no code that may change them.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._forgetting: asyncio.TimerHandle | None = None
        self._bytes = 0
        self._by_key: dict[Key, _Shared] = {}
        # Of values that `_by_key` keeps alive.
        self._by_id: dict[int, _Shared] = {}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """As long as one history is read."""
        self._readers += 1
        if self._forgetting is not None:
            self._forgetting.cancel()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                kept = _KEPT_SECONDS if self._bytes < _KEPT_BYTES else 0.0
                self._forgetting = asyncio.get_running_loop().call_later(kept, self._forget)

    def decode(self, serializer: JsonPlusSerializer, kind: str, blob: bytes) -> Any:
        """As the serializer decodes it; what stands in a msgpack as an extension is shared."""
        if kind != "msgpack":
            return serializer.loads_typed((kind, blob))
        rules, unpack = decoder_of(serializer)

        def shared(code: int, packed: bytes) -> Any:
            found = self._by_key.get((rules, code, packed))
            return self._keep((rules, code, packed), unpack) if found is None else found.value

        return ormsgpack.unpackb(blob, ext_hook=shared, option=ormsgpack.OPT_NON_STR_KEYS)

    def dumps(self, state: Any) -> bytes:
        """As `dumps_kept`, with the JSON of each shared value made once."""
        try:
            text = orjson.dumps(state, default=self._json, option=KEPT_OPTIONS)
        except TypeError:
            return dumps_kept(state)
        return dumps_kept(state) if b"\\u0000" in text or len(text) > MAX_BYTES else text

    def _keep(self, key: Key, unpack: Any) -> Any:
        _, code, packed = key
        if self._bytes > _MOST_BYTES:
            self._forget()
        shared = _Shared(unpack(code, packed))
        self._by_key[key] = self._by_id[id(shared.value)] = shared
        self._bytes += len(packed)
        return shared.value

    def _json(self, value: Any) -> orjson.Fragment:
        shared = self._by_id.get(id(value))
        if shared is None:
            return orjson.Fragment(dumps_kept(value))
        if shared.json is None:
            shared.json = orjson.Fragment(dumps_kept(value))
        return shared.json

    def _forget(self) -> None:
        self._by_key.clear()
        self._by_id.clear()
        self._bytes = 0


class SharingSaver(AsyncPostgresSaver):
    """LangGraph's saver, which shares the values of channels among the checkpoints that it lists."""

    def __init__(
        self, database: Database, serde: SerializerProtocol | None, values: SharedValues, *, shares: bool
    ) -> None:
        super().__init__(database.pool, serde=serde)
        self.values = values
        #: Of channels' values.
        self.bytes_read = 0
        self._may_share = self._shares = shares

    async def _load_checkpoint_tuple(self, value: DictRow) -> CheckpointTuple:
        # Reducers may change what they are given.
        self._shares = self._may_share and not _calls_reducers(value["pending_writes"])
        return await super()._load_checkpoint_tuple(value)

    def _load_blobs(self, blob_values: list[tuple[bytes, bytes, bytes]]) -> dict[str, Any]:
        self.bytes_read += sum(len(blob or b"") for _, _, blob in blob_values or [])
        if not self._shares or not isinstance(self.serde, JsonPlusSerializer):
            return super()._load_blobs(blob_values)
        return {
            channel.decode(): self.values.decode(self.serde, kind.decode(), blob)
            for channel, kind, blob in blob_values or []
            if kind != b"empty"
        }


def _calls_reducers(pending_writes: list[list[bytes]] | None) -> bool:
    """Whether LangGraph applies some of these to channels, as it does with what a command writes."""
    null, beside = NULL_TASK_ID.encode(), [channel.encode() for channel in WRITES_IDX_MAP]
    return any(task == null and channel not in beside for task, channel, *_ in pending_writes or [])


_VALIDATORS = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)
_KINDS_OF_VALIDATORS = ("validators", "field_validators", "root_validators", "model_validators")


def values_may_be_shared(graph: Graph, checkpoint_ns: str = "") -> bool:
    """Whether values may be shared among the states of this graph, or of one below it.

    The author's code in channels of own kinds sees them, and in the models and dataclasses that nodes take for input.
    Reducers are another matter: whether one is called depends on the checkpoint.
    """
    below = [inner for _, inner in graph.get_subgraphs(recurse=True)] if checkpoint_ns else []
    return all(isinstance(each, Pregel) and _is_plain(each) for each in [graph, *below])


def _is_plain(graph: Graph) -> bool:
    channels = [channel for channel in graph.channels.values() if isinstance(channel, BaseChannel)]
    if any(not type(channel).__module__.startswith("langgraph.") for channel in channels):
        return False
    mappers: list[Any] = [node.mapper for node in graph.nodes.values() if node.mapper is not None]
    return all(isinstance(mapper, partial) and _has_no_code(mapper.args[0]) for mapper in mappers)


def _has_no_code(schema: Any) -> bool:
    """Whether making one of its instances calls nothing that the author wrote."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        decorators = schema.__pydantic_decorators__
        validates = any(getattr(decorators, kind) for kind in _KINDS_OF_VALIDATORS) or any(
            isinstance(entry, _VALIDATORS) for field in schema.model_fields.values() for entry in field.metadata
        )
        own = schema.__init__ is not BaseModel.__init__ or schema.model_post_init is not BaseModel.model_post_init
        return not validates and not own
    parameters = getattr(schema, "__dataclass_params__", None)
    own = hasattr(schema, "__post_init__") or hasattr(schema, "__pydantic_decorators__")
    return parameters is not None and parameters.init and not own
