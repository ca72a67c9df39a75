"""The tool calls of a run: which of them have begun and not ended. Pure."""

from collections.abc import Iterator

from relayrun_api.event_protocol.events import Namespace, Part, ProtocolEvent, event_of
from relayrun_api.http.responses import loads

_ENDS = frozenset(("tool-finished", "tool-error"))


class Tools:
    """The tool calls of one run."""

    def __init__(self) -> None:
        self._open: dict[tuple[Namespace, str], None] = {}  # a set that keeps its order

    def heard(self, namespace: Namespace, data: bytes) -> ProtocolEvent:
        """What the journal has of a call."""
        told = loads(data)
        call = (namespace, str(told.get("tool_call_id")))
        if told.get("event") == "tool-started":
            self._open[call] = None
        elif told.get("event") in _ENDS:
            self._open.pop(call, None)
        return ProtocolEvent("tools", namespace, data, "tools", Part.TOOLS)

    def all_failed(self, message: str, code: str) -> Iterator[ProtocolEvent]:
        """Those that are open end with an error."""
        for nth, (namespace, call_id) in enumerate(self._open):
            data = {"event": "tool-error", "tool_call_id": call_id, "message": message, "code": code}
            yield event_of("tools", namespace, data, Part.TOOLS, nth)
        self._open.clear()
