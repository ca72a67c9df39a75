"""A2A's parts as LangChain's content, and back. Pure."""

from collections.abc import Sequence
from typing import Any

from relayrun_api.a2a.dialects import Json
from relayrun_api.a2a.models import DataPart, File, FilePart, Part, TextPart
from relayrun_api.a2a.rpc import Code, RpcError
from relayrun_api.http.responses import dumps

_KINDS_OF_FILES = ("image", "audio", "video")


def input_of(parts: Sequence[Part], message_id: str, *, takes_messages: bool) -> Json:
    """The input of a graph: text and files are a message, members of data are the input's own, as in the Agent Server.

    Raises RpcError for text that a graph has no `messages` for, and for data that is no object.
    """
    given: Json = {}
    for part in parts:
        if isinstance(part, DataPart):
            if not isinstance(part.data, dict):
                raise RpcError(Code.INVALID_PARAMS, "A data part of a new task must be an object: the graph's input.")
            given |= part.data
    content = content_of([part for part in parts if not isinstance(part, DataPart)])
    if content is None:
        return given
    if not takes_messages:
        raise RpcError(
            Code.CONTENT_TYPE_NOT_SUPPORTED, "This agent takes no `messages`: send its input as one data part."
        )
    identity = {"id": message_id} if message_id else {}
    before = given.get("messages")
    said = {"role": "user", "content": content, **identity}
    return {**given, "messages": [*(before if isinstance(before, list) else ()), said]}


def answer_of(parts: Sequence[Part]) -> Any:
    """The answer to a question: a lone text or lone data as it is, else content in LangChain's blocks."""
    match parts:
        case [TextPart(text=text)]:
            return text
        case [DataPart(data=data)]:
            return data
        case _:
            return [_block(part) for part in parts]


def content_of(parts: Sequence[Part]) -> str | list[Json] | None:
    """A message's content: a lone text as it is; None for nothing."""
    match parts:
        case []:
            return None
        case [TextPart(text=text)]:
            return text
        case _:
            return [_block(part) for part in parts]


def _block(part: Part) -> Json:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case DataPart():
            return {"type": "text", "text": dumps(part.data).decode()}
        case FilePart():
            return _file_block(part.file)


def _file_block(file: File) -> Json:
    family = (file.mime_type or "").partition("/")[0]
    where = {"url": file.uri} if file.bytes is None else {"base64": file.bytes}
    if (file.bytes is None) == (file.uri is None):
        raise RpcError(Code.INVALID_PARAMS, "A file part needs its bytes or its URI: send one of them.")
    kind = {"mime_type": file.mime_type} if file.mime_type else {}
    name = {"extras": {"filename": file.name}} if file.name else {}
    return {"type": family if family in _KINDS_OF_FILES else "file", **where, **kind, **name}


def parts_of_content(content: Any) -> list[Json]:
    """A message's content as parts."""
    if isinstance(content, str):
        return [{"kind": "text", "text": content}]
    return (
        [_part_of_block(block) for block in content] if isinstance(content, list) and content else [data_part(content)]
    )


def _part_of_block(block: Any) -> Json:
    if isinstance(block, str):
        return {"kind": "text", "text": block}
    if isinstance(block, dict):
        if isinstance(block.get("text"), str):
            return {"kind": "text", "text": block["text"]}
        where = {"bytes": block.get("base64"), "uri": block.get("url")}
        file = {name: value for name, value in where.items() if isinstance(value, str)}
        if file:
            kind = {"mimeType": block["mime_type"]} if isinstance(block.get("mime_type"), str) else {}
            return {"kind": "file", "file": {**file, **kind}}
    return data_part(block)


def data_part(value: Any) -> Json:
    """JSON as a part, which has to be an object in 0.3."""
    return {"kind": "data", "data": value if isinstance(value, dict) else {"value": value}}


def parts_of_value(value: Any) -> list[Json]:
    """Whatever an agent asks, or is answered, as parts."""
    return [{"kind": "text", "text": value}] if isinstance(value, str) else [data_part(value)]
