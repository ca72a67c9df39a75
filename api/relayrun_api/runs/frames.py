"""The streams of the LangGraph routes: journal events of the modes asked for, in the forms of its SDKs. Pure."""

from collections.abc import Sequence
from typing import Any

from relayrun_api.http.responses import dumps, loads
from relayrun_api.streaming.sse import frame
from relayrun_core.db.journal import END, Event, Page
from relayrun_core.ids import event_id

#: Of a message the clients know from its metadata which subgraph it is of.
_WITHOUT_NAMESPACE = frozenset(("messages/metadata", "messages/partial", "messages/complete"))
_EVENTS_OF_MODE = {"messages-tuple": {"messages"}, "messages": {"messages", *_WITHOUT_NAMESPACE}}
#: A reader of one mode has to know that the run failed.
_ALWAYS = frozenset(("error",))
_TOOLS = "tools"


class EventFilter:
    """Lets through the events of some stream modes, or all when `modes` is None; but the journal's last one never.

    The Agent Server has no event for a run's end: the stream ends, and clients take its last event for the result.
    """

    def __init__(self, modes: Sequence[str] | None) -> None:
        self._events = None if modes is None else _ALWAYS.union(*(_EVENTS_OF_MODE.get(mode, {mode}) for mode in modes))

    def __call__(self, event: str) -> bool:
        """Whether the event of this name goes through."""
        return event != END and (self._events is None or event.partition("|")[0] in self._events)


class RunFrames:
    """Frames of one run for one reader. With `times`, a comment before each says when it was written."""

    def __init__(self, modes: Sequence[str] | None, *, times: bool = False) -> None:
        self._wanted = EventFilter(modes)
        self._times = times
        self._tool_names: dict[str, str] = {}

    def page(self, page: Page) -> bytes:
        """A page as one chunk; empty when nothing of it is wanted."""
        wanted = (event for event in page.events if self._wanted(event.event))
        if self._times:
            return b"".join(_time_of(event) + self._frame(event, page.number) for event in wanted)
        return b"".join(self._frame(event, page.number) for event in wanted)

    def _frame(self, event: Event, number: int) -> bytes:
        name, _, namespace = event.event.partition("|")
        data = event.data
        if name == _TOOLS:
            data = dumps(self._tool_event(loads(data)))
        elif namespace and name in _WITHOUT_NAMESPACE:
            return frame(name, data, event_id(number, event.seq))
        return frame(event.event, data, event_id(number, event.seq))

    def _tool_event(self, tool_event: dict[str, Any]) -> dict[str, Any]:
        """What LangGraph tells of a tool, as the LangGraph SDKs know it. Only the call's start has the tool's name."""
        call = str(tool_event.get("tool_call_id"))
        match tool_event.get("event"):
            case "tool-started":
                self._tool_names[call] = str(tool_event.get("tool_name"))
                return self._tool("on_tool_start", call, input=tool_event.get("input"))
            case "tool-output-delta":
                return self._tool("on_tool_event", call, data=tool_event.get("delta"))
            case "tool-finished":
                return self._tool("on_tool_end", call, output=tool_event.get("output"))
            case "tool-error":
                return self._tool("on_tool_error", call, error=tool_event.get("message"))
            case _:
                return tool_event

    def _tool(self, event: str, call: str, **more: Any) -> dict[str, Any]:
        return {"event": event, "toolCallId": call, "name": self._tool_names.get(call, ""), **more}


def _time_of(event: Event) -> bytes:
    return b"" if event.at is None else f": {event.at.isoformat()}\r\n".encode()
