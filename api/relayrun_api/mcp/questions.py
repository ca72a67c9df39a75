"""What an agent asks, as a form for the client's user, and what the user says as an answer to the agent. Pure.

A form has fields alone, and no lists but of choices: a question that needs more is left to the tool that answers any.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from relayrun_api.http.responses import dumps
from relayrun_api.runners.graphs import object_schema

_ONE = "answer"
_KINDS = frozenset(("string", "number", "integer", "boolean"))
_TEXTS = ("question", "message", "prompt", "description", "text")
#: The first version whose forms have fields that take several choices.
_LISTS_SINCE = "2025-11-25"
_DECISIONS = ("approve", "reject")

Question = Mapping[str, Any]


def form_of(question: Question, version: str) -> dict[str, Any] | None:
    """The params of the request to the client; None for a question that no form of the protocol's version can ask."""
    schema = _schema_of(question, lists=version >= _LISTS_SINCE)
    return None if schema is None else {"mode": "form", "message": text_of(question), "requestedSchema": schema}


def answer_of(question: Question, content: Mapping[str, Any]) -> Any:
    """What the agent is told for a form that was filled in."""
    if actions := _actions_of(question.get("value")):
        return {"decisions": [{"type": content.get(_decision(place), "reject")} for place in range(len(actions))]}
    asked = question.get("response_schema")
    return dict(content) if isinstance(asked, dict) and _is_object(object_schema(asked)) else content.get(_ONE)


def text_of(question: Question) -> str:
    """The question in words."""
    value = question.get("value")
    if isinstance(value, dict):
        value = next((value[name] for name in _TEXTS if isinstance(value.get(name), str)), value)
    return value if isinstance(value, str) else dumps(value).decode()


def _schema_of(question: Question, *, lists: bool) -> dict[str, Any] | None:
    if actions := _actions_of(question.get("value")):
        return _of_actions(actions)
    asked = question.get("response_schema")
    if asked is None:
        return _one({"type": "string", "title": "Answer"})
    if not isinstance(asked, dict):
        return None
    schema = object_schema(asked)
    if not _is_object(schema):
        return _one(dict(schema)) if _is_field(schema, lists=lists) else None
    fields, asked_for = schema.get("properties"), schema.get("required")
    if not isinstance(fields, dict) or not fields:
        return None
    if not all(_is_field(field, lists=lists) for field in fields.values()):
        return None
    required = [name for name in fields if name in asked_for] if isinstance(asked_for, list) else []
    properties = {name: dict(field) for name, field in fields.items()}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _one(field: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {_ONE: field}, "required": [_ONE]}


def _is_object(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" or "properties" in schema


def _is_field(schema: Any, *, lists: bool) -> bool:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(kind, str):
        return False
    return kind in _KINDS or (lists and kind == "array" and _is_choice(schema.get("items")))


def _is_choice(items: Any) -> bool:
    """Whether a list takes some of the texts that its schema names."""
    return isinstance(items, dict) and (
        (items.get("type") == "string" and isinstance(items.get("enum"), list)) or isinstance(items.get("anyOf"), list)
    )


def _actions_of(value: Any) -> Sequence[Mapping[str, Any]]:
    """What LangChain's middleware wants a person to decide on, where yes or no are decisions."""
    if not isinstance(value, dict) or not isinstance(actions := value.get("action_requests"), list):
        return ()
    configs = value.get("review_configs")
    allowed = [
        config.get("allowed_decisions") or _DECISIONS
        for config in (configs if isinstance(configs, list) else ())
        if isinstance(config, dict)
    ]
    known = all(isinstance(names, list | tuple) and all(one in names for one in _DECISIONS) for names in allowed)
    return actions if known and all(isinstance(action, dict) for action in actions) else ()


def _of_actions(actions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    fields = {
        _decision(place): {
            "type": "string",
            "title": str(action.get("name") or action.get("action") or "Action"),
            "description": dumps(action.get("args") or action.get("arguments") or {}).decode(),
            "enum": list(_DECISIONS),
        }
        for place, action in enumerate(actions)
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def _decision(place: int) -> str:
    return f"decision_{place + 1}"
