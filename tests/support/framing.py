"""Where the events of a stream end, in bytes that come in parts: server-sent ones, and a WebSocket's messages."""

from __future__ import annotations

from typing import Protocol

_END_OF_EVENT = b"\r\n\r\n"


class Framing(Protocol):
    """One stream's, from its beginning."""

    def ends(self, part: bytes) -> list[int]:
        """The places in the stream's next part just behind an event."""
        ...


class EventStream:
    """An answer of the type text/event-stream."""

    def ends(self, part: bytes) -> list[int]:
        """As Framing has it; the API writes whole events."""
        found, at = [], 0
        while (end := part.find(_END_OF_EVENT, at)) >= 0:
            at = end + len(_END_OF_EVENT)
            found.append(at)
        return found


class Frames:
    """What a server sends on a WebSocket (RFC 6455 section 5.2): frames without a mask."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def ends(self, part: bytes) -> list[int]:
        """As Framing has it."""
        found, at = [], 0
        while at < len(part):
            if self._left:
                taken = min(self._left, len(part) - at)
                self._left -= taken
                at += taken
            else:
                self._head += part[at : at + 1]
                at += 1
                size = _payload_bytes(self._head)
                if size is None:
                    continue
                self._head, self._left = b"", size
            if not self._left:
                found.append(at)
        return found


def _payload_bytes(head: bytes) -> int | None:
    """None as long as the head is not whole."""
    if len(head) < 2:
        return None
    size = head[1] & 0x7F
    more = {126: 2, 127: 8}.get(size, 0)
    if len(head) < 2 + more:
        return None
    return int.from_bytes(head[2:]) if more else size
