"""Whether code of the author's sees the values of a thread's channels when its states are read, and may change them."""

from functools import partial
from typing import Any

from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel
from pydantic import AfterValidator, BaseModel, BeforeValidator, PlainValidator, WrapValidator

from relayrun_runner.graphs import Graph

_VALIDATORS = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)
_KINDS_OF_VALIDATORS = ("validators", "field_validators", "root_validators", "model_validators")


def nobody_looks_on(graph: Graph, checkpoint_ns: str = "") -> bool:
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
