"""What an agent says as a tool's content: the text, the images and the sound of its last message. Pure."""

import re
from typing import Any

from relayrun_api.http.responses import dumps
from relayrun_api.streaming.messages import is_message, role_of, text_of

_DATA_URL = re.compile(r"data:([\w.+/-]+);base64,([A-Za-z0-9+/=]*)")


def contents_of(values: Any) -> list[Any]:
    """What the agent says; of one that says nothing, all of its output as JSON."""
    from mcp_types import TextContent

    messages = values.get("messages") if isinstance(values, dict) else None
    found = [message for message in messages if is_message(message)] if isinstance(messages, list) else []
    said = next((message["content"] for message in reversed(found) if role_of(message) == "assistant"), "")
    text = text_of(said)
    shown = [*([TextContent(text=text)] if text else []), *_media(said)]
    return shown or [TextContent(text=dumps(values).decode())]


def _media(content: Any) -> list[Any]:
    """Images and sound among LangChain's blocks that are in the message itself; what an address names stays out."""
    from mcp_types import AudioContent, ImageContent

    made: list[Any] = []
    for block in content if isinstance(content, list) else ():
        kind, data = _data_of(block) if isinstance(block, dict) else ("", "")
        if data and kind.startswith("image/"):
            made.append(ImageContent(data=data, mime_type=kind))
        elif data and kind.startswith("audio/"):
            made.append(AudioContent(data=data, mime_type=kind))
    return made


def _data_of(block: dict[str, Any]) -> tuple[str, str]:
    """A block's media type and its data in base64; empty where it has none."""
    given = block.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    if isinstance(url, str):
        found = _DATA_URL.fullmatch(url)
        return (found[1], found[2]) if found else ("", "")
    kind, data = block.get("mime_type"), block.get("base64") or block.get("data")
    return (kind, data) if isinstance(kind, str) and isinstance(data, str) else ("", "")
