"""What a checkpoint's metadata says of the config that it was made with, as langgraph-api has it: thread, place, task,
and all that a caller said in `configurable`. LangGraph itself keeps texts and numbers alone, and no place.
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

from relayrun_core import storable
from relayrun_core.runs import without_claims

# Of a put's config: its `checkpoint_id` is that of the checkpoint's parent. Where a call began is in its metadata.
_PLACE = ("checkpoint_ns", "checkpoint_map")
_NOT_SAID = ("checkpoint_id", *_PLACE)
# Each checkpoint has them anew.
_MOST_BYTES = 16 * 1024


def described(config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
    """The metadata with what the config says; nothing of whom the run is for."""
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    said = {key: value for key, value in configurable.items() if key not in _NOT_SAID or (key in _PLACE and value)}
    of_call: Mapping[str, Any] = config.get("metadata") or {}
    found = {
        key: value
        for key, value in without_claims({**said, **of_call}).items()
        if key not in metadata and not key.startswith("__") and (key != "checkpoint_ns" or value)
    }
    return cast("CheckpointMetadata", {**_storable(found), **metadata})


def _storable(found: dict[str, Any]) -> dict[str, Any]:
    texts = {key: value for key, value in found.items() if isinstance(value, str | int | float | bool | None)}
    if len(texts) == len(found):
        return texts
    # An author's call of a graph may have anything in its config.
    plain = {key: value for key, value in found.items() if _is_json(value)}
    text = storable.dumps(plain)
    return orjson.loads(text) if len(text) <= _MOST_BYTES else texts


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or type(value) in (str, int, float, bool)
