"""Content blocks of messages as the event protocol tells them: begun empty, grown by deltas, finished whole. Pure.

A streamed message comes in slices, each with a few blocks; which of them continue one another their keys say.
"""

from collections.abc import Hashable, Iterator
from typing import Any

import orjson

Block = dict[str, Any]

_CHUNKS_OF_CALLS = {"tool_call_chunk": "tool_call", "server_tool_call_chunk": "server_tool_call"}
_MEDIA = frozenset(("image", "audio", "video", "file"))
#: What may be large, and is not said when a block is announced.
_HEAVY = frozenset(("args", "base64", "data", "output", "transcript", "value"))
#: What a block must have all the same.
_EMPTY: dict[str, Block] = {"tool_call": {"args": {}}, "server_tool_call": {"args": {}}, "non_standard": {"value": {}}}
_GROWING = {"text": "text", "reasoning": "reasoning", "tool_call_chunk": "args", "server_tool_call_chunk": "args"}
# Forms of providers that have their place in `tool_calls` as well.
_CALLS_IN_CONTENT = frozenset(("tool_use", "input_json_delta", "function_call", "tool_call"))


def slices(message: Block) -> Iterator[tuple[Hashable, Block]]:
    """The blocks of a message, or of a slice of one, each with the key of what it continues."""
    given = message.get("content_blocks")
    blocks = _from_fields(message) if given is None else [block for block in given if isinstance(block, dict)]
    for position, block in enumerate(blocks):
        index = block.get("index")
        # Without an index, slices of one kind at one position continue each other.
        yield index if isinstance(index, (int, str)) else (block.get("type"), position), block
    if message.get("type") != "AIMessageChunk" and given is not None:
        for position, call in enumerate(message.get("invalid_tool_calls") or ()):
            yield ("invalid_tool_call", position), _invalid(call)


def begun(block: Block) -> Block:
    """A block as it is announced: without content."""
    kind = block.get("type")
    if kind in _CHUNKS_OF_CALLS:
        known = {name: block.get(name) for name in ("id", "name", "index") if block.get(name) is not None}
        required = {"id": None, "name": None} if kind == "tool_call_chunk" else {}
        return {"type": kind, **required, **known, "args": ""}
    if kind in _GROWING:
        light = {name: value for name, value in block.items() if name not in ("index", "annotations")}
        return {**light, _GROWING[kind]: ""}
    return {name: value for name, value in block.items() if name not in _HEAVY} | _EMPTY.get(str(kind), {})


def delta_of(block: Block) -> Block | None:
    """What a slice adds to its block; None for kinds that do not grow."""
    kind = block.get("type")
    if kind == "text" and block.get("text"):
        return {"type": "text-delta", "text": block["text"]}
    if kind == "reasoning" and block.get("reasoning"):
        return {"type": "reasoning-delta", "reasoning": block["reasoning"]}
    if kind in _CHUNKS_OF_CALLS and block.get("args"):
        return {"type": "tool-call-delta", "args": block["args"]}
    if kind in _MEDIA and (data := block.get("base64") or block.get("data")):
        return {"type": "data-delta", "data": data, "encoding": "base64"}  # where JavaScript's client finds the bytes
    return None


def merged(block: Block | None, added: Block) -> Block:
    """A block with a slice's added to it. What does not grow is replaced."""
    growing = _GROWING.get(str(added.get("type")))
    if block is None or growing is None or block.get("type") != added.get("type"):
        return dict(added)
    known = {name: value for name, value in added.items() if value is not None}
    extras = {**(block.get("extras") or {}), **(added.get("extras") or {})}
    grown = {**block, **known, growing: (block.get(growing) or "") + (added.get(growing) or "")}
    return {**grown, "extras": extras} if extras else grown


def finished(block: Block) -> Block:
    """A block as it is in the end: of a tool call's text its arguments, or the text where it is no JSON object."""
    kind = _CHUNKS_OF_CALLS.get(str(block.get("type")))
    if kind is None:
        return block
    dropped = ("type", "id", "name", "args") + (("index",) if kind == "tool_call" else ())
    extras = {name: value for name, value in block.items() if name not in dropped and value is not None}
    text = block.get("args") or "{}"
    try:
        args = orjson.loads(text)
    except orjson.JSONDecodeError:
        args = None
    if not isinstance(args, dict):
        return {**_invalid(block), "args": text, "error": "The arguments are not a JSON object.", **extras}
    return {"type": kind, "id": block.get("id") or "", "name": block.get("name") or "", "args": args, **extras}


def _from_fields(message: Block) -> list[Block]:
    """The blocks of a message whose runner did not say them."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    blocks = [block for part in parts if (block := _block_of(part)) is not None]
    if message.get("type") == "AIMessageChunk":
        calls = message.get("tool_call_chunks") or ()
        return [*blocks, *({**call, "type": "tool_call_chunk"} for call in calls)]
    calls = message.get("tool_calls") or ()
    broken = message.get("invalid_tool_calls") or ()
    return [*blocks, *({**call, "type": "tool_call"} for call in calls), *map(_invalid, broken)]


def _block_of(part: Any) -> Block | None:
    if isinstance(part, str):
        return {"type": "text", "text": part} if part else None
    if not isinstance(part, dict) or part.get("type") in _CALLS_IN_CONTENT:
        return None
    if part.get("type") == "thinking":
        index = {} if part.get("index") is None else {"index": part["index"]}
        return {"type": "reasoning", "reasoning": part.get("thinking") or "", **index}
    known = ("text", "reasoning", "image", "audio", "video", "file", "non_standard")
    return part if part.get("type") in known else {"type": "non_standard", "value": part}


def _invalid(call: Block) -> Block:
    return {"type": "invalid_tool_call", **{name: call.get(name) for name in ("id", "name", "args", "error")}}
