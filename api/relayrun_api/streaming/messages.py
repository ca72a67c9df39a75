"""LangChain messages as they appear in JSON, seen with the eyes of a chat: roles, plain text, tool calls. Pure."""

from collections.abc import Iterator
from typing import Any, Literal, NotRequired, cast

from typing_extensions import TypedDict

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "system": "system", "tool": "tool"}


Role = Literal["user", "assistant", "tool", "system"]


class Message(TypedDict):
    """One message of a conversation."""

    id: str | None
    role: Role
    content: Any
    tool_calls: list[dict[str, Any]]
    tool_call_id: NotRequired[str | None]


def is_message(value: Any) -> bool:
    """Whether `value` looks like a message that LangChain has serialised."""
    return isinstance(value, dict) and "content" in value and isinstance(value.get("type"), str)


def messages_in(values: Any) -> Iterator[dict[str, Any]]:
    """The messages in a node's update, in order: those at its top-level keys, alone or in lists."""
    if isinstance(values, list):
        for part in values:
            yield from messages_in(part)
    elif is_message(values):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            found = value if isinstance(value, list) else [value]
            yield from (item for item in found if is_message(item))


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text blocks of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(_text_of_block(block) for block in content)


def role_of(message: dict[str, Any]) -> str:
    """`user`, `assistant`, `system` or `tool`; another type stays as it is."""
    kind = str(message.get("type") or message.get("role") or "")
    return _ROLES.get(kind, kind)


def tool_calls_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The complete tool calls of a message as `{id, name, args}`."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return []
    return [
        {"id": call.get("id"), "name": call.get("name"), "args": call.get("args")}
        for call in calls
        if isinstance(call, dict)
    ]


def spoken_message(message: dict[str, Any]) -> Message:
    """A message of the assistant as `/chat` and `/invoke` give it."""
    return {
        "id": message.get("id"),
        "role": cast("Role", role_of(message)),
        "content": text_of(message.get("content")),
        "tool_calls": tool_calls_of(message),
    }


def plain_message(message: dict[str, Any]) -> Message:
    """A message as `/history` lists it."""
    return {**spoken_message(message), "tool_call_id": message.get("tool_call_id")}


def _text_of_block(block: Any) -> str:
    if isinstance(block, str):
        return block
    text = block.get("text") if isinstance(block, dict) else None
    return text if isinstance(text, str) else ""
