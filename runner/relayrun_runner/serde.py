"""Which of the author's types a checkpoint may bring back: `checkpointer.serde` of `langgraph.json`."""

from collections.abc import Sequence
from typing import Literal

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from relayrun_runner.config.model import SerdeConfig


def make_serializer(config: SerdeConfig | None) -> JsonPlusSerializer | None:
    """The serializer that a saver is to use; None: LangGraph's own choice."""
    if config is None:
        return None
    return JsonPlusSerializer(
        pickle_fallback=config.pickle_fallback,
        allowed_json_modules=_allowed(config.allowed_json_modules),
        allowed_msgpack_modules=_allowed(config.allowed_msgpack_modules),
    )


def _allowed(modules: Sequence[Sequence[str]] | bool | None) -> list[tuple[str, ...]] | Literal[True] | None:
    if modules is True:
        return True
    return [tuple(entry) for entry in modules] if modules else None
