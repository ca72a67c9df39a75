"""What tools take, as JSON schemas: what their graphs do, with messages as a text. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.runners.graphs import object_schema

Json = dict[str, Any]

_DEFS, _REF = "$defs", "#/$defs/"
#: Which every list of LangChain's messages may have.
_OF_PEOPLE = "HumanMessage"
_MESSAGES = {"type": "string", "title": "Messages", "description": "What the user says to the agent."}


def input_schema(assistant: Assistant) -> Json:
    """What the tool takes: what its graph does. One that is no object, or not said, takes any."""
    schema = dict(object_schema(assistant.graph.schemas.get("input"))) if assistant.graph else {}
    return _with_text(schema) if schema.get("type") == "object" else {"type": "object"}


def _with_text(schema: Json) -> Json:
    """The schema, in which LangChain's messages are a text, which LangGraph takes for them too.

    Their own schema has 15 kB, and the models that choose tools read each tool's.
    """
    properties, defs = schema.get("properties"), schema.get(_DEFS)
    if not isinstance(properties, dict) or not isinstance(defs, dict):
        return schema
    if _OF_PEOPLE not in _refs(properties.get("messages")):
        return schema
    rest = {**schema, "properties": {**properties, "messages": _MESSAGES}}
    del rest[_DEFS]
    wanted = list(_refs(rest))
    kept: Json = {}
    while wanted:
        name = wanted.pop()
        if name in defs and name not in kept:
            kept[name] = defs[name]
            wanted += _refs(defs[name])
    return {**rest, _DEFS: kept} if kept else rest


def _refs(schema: Any) -> Iterator[str]:
    """The names of the definitions to which a schema refers."""
    if isinstance(schema, Mapping):
        ref = schema.get("$ref")
        if isinstance(ref, str) and ref.startswith(_REF):
            yield ref.removeprefix(_REF)
    below = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    for one in below:
        yield from _refs(one)
