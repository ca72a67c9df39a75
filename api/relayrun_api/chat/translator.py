"""The `/chat` stream: journal events translated to the events a plain frontend reads. Pure.

The same journal always gives the same chat events, so a reader that comes back is served by translating from the
start and leaving out what it has.
"""

from collections.abc import Callable, Iterable
from typing import Any

from relayrun_api.http.problems import Problem
from relayrun_api.http.responses import dumps, loads
from relayrun_api.streaming.messages import messages_in, role_of, spoken_message, text_of, tool_calls_of
from relayrun_api.streaming.sse import START, Position, frame, part_id
from relayrun_core.db.journal import Event, Page

#: The stream modes that a chat is made of.
CHAT_MODES = ("messages-tuple", "updates", "custom")

ChatEvent = dict[str, Any]

_FAILURES = {
    "error": "The run failed: look at its reason, correct the cause and send the message again.",
    "timeout": "The run took longer than its deadline: ask for less, or raise the deadline.",
}


class ChatTranslator:
    """Translates the journal of one run, event by event, in order."""

    def __init__(self, run_id: str, thread_id: str) -> None:
        self._run_id = run_id
        self._thread_id = thread_id
        self._attempt = 0
        self._failed = False
        self._half_sent: dict[str, None] = {}  # a set that keeps its order
        self._complete: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self._handlers: dict[str, Callable[[Any, bool], Iterable[ChatEvent]]] = {
            "metadata": self._metadata,
            "messages": self._messages,
            "updates": self._updates,
            "custom": self._custom,
            "error": self._error,
            "end": self._end,
        }

    def translate(self, event: str, data: bytes) -> list[ChatEvent]:
        """The chat events of one journal event; mostly one, sometimes several or none."""
        name, _, namespace = event.partition("|")
        handler = self._handlers.get(name)
        if handler is None:
            return []
        return list(handler(loads(data), not namespace))

    def _metadata(self, data: Any, _root: bool) -> Iterable[ChatEvent]:
        first, attempt = not self._attempt, data.get("attempt", 1)
        self._attempt = attempt
        if first:
            ids = {"run_id": self._run_id, "thread_id": self._thread_id}
            yield {"type": "start", **ids, "attempt": attempt}
            return
        discard = list(self._half_sent)
        self._half_sent.clear()
        reason = data.get("reason") or "Resumed"
        yield {"type": "attempt", "attempt": attempt, "reason": reason, "discard": discard}

    def _messages(self, data: Any, _root: bool) -> Iterable[ChatEvent]:
        message, metadata = data
        node = metadata.get("langgraph_node")
        if message.get("type") != "AIMessageChunk":
            yield from self._whole(message, node)
            return
        text = text_of(message.get("content"))
        message_id = message.get("id")
        if not text or message_id in self._complete:
            return
        self._half_sent[message_id] = None
        yield {"type": "token", "message_id": message_id, "node": node, "text": text}

    def _updates(self, data: Any, root: bool) -> Iterable[ChatEvent]:
        if self._attempt == 1 and (data.get("__metadata__") or {}).get("cached"):
            return  # a step of the run before, which told it; a later attempt's may be its only telling
        for node, values in data.items():
            if node == "__interrupt__":
                yield from self._interrupt(values)
            elif not node.startswith("__"):
                for message in messages_in(values):
                    yield from self._whole(message, node)
                if root:  # a subgraph's steps are its own affair; what it says is not
                    yield {"type": "update", "node": node, "values": values}

    def _whole(self, message: dict[str, Any], node: str | None) -> Iterable[ChatEvent]:
        match role_of(message):
            case "assistant":
                yield from self._assistant(message, node)
            case "tool":
                yield from self._tool_result(message)

    def _assistant(self, message: dict[str, Any], node: str | None) -> Iterable[ChatEvent]:
        message_id = message.get("id")
        if message_id is not None and message_id in self._complete:
            return
        if message_id is not None:
            self._complete.add(message_id)
            self._half_sent.pop(message_id, None)
        yield {"type": "message", "message": spoken_message(message)}
        for call in tool_calls_of(message):
            if self._first("tool_call", call["id"]):
                yield {"type": "tool_call", **call, "message_id": message_id, "node": node}

    def _tool_result(self, message: dict[str, Any]) -> Iterable[ChatEvent]:
        call_id = message.get("tool_call_id")
        if self._first("tool_result", call_id):
            yield {
                "type": "tool_result",
                "id": call_id,
                "name": message.get("name"),
                "status": message.get("status") or "success",
                "content": text_of(message.get("content")),
            }

    def _interrupt(self, interrupts: Any) -> Iterable[ChatEvent]:
        new = [
            {"id": item.get("id"), "value": item.get("value")}
            for item in interrupts or ()
            if self._first("interrupt", item.get("id"))
        ]
        if new:
            yield {"type": "interrupt", "interrupts": new}

    def _custom(self, data: Any, _root: bool) -> Iterable[ChatEvent]:
        yield {"type": "custom", "value": data}

    def _error(self, data: Any, _root: bool) -> Iterable[ChatEvent]:
        self._failed = True
        # The event's `type` wins over the problem's, whose `code` says the same.
        yield {**run_problem(data).body(), "type": "error"}

    def _end(self, data: Any, _root: bool) -> Iterable[ChatEvent]:
        status = data.get("status")
        if status in _FAILURES and not self._failed:
            yield from self._error({"error": data.get("reason"), "message": _FAILURES[status]}, True)
        yield {"type": "end", "run_id": self._run_id, "thread_id": self._thread_id, "status": status}

    def _first(self, kind: str, identity: str | None) -> bool:
        """Whether this thing is told for the first time; what has no identity always is."""
        if identity is None:
            return True
        if (kind, identity) in self._told:
            return False
        self._told.add((kind, identity))
        return True


def run_problem(error: dict[str, Any]) -> Problem:
    """A run's error, `{"error": type, "message": …}`, as problem details."""
    kind = error.get("error") or "Error"
    message = error.get("message") or "no message"
    extra = {"error": kind}
    if node := error.get("node"):
        extra["node"] = node
    return Problem(500, "run_failed", f"{kind}: {message}", extra=extra)


#: How soon an EventSource may come back, in milliseconds.
PREFACE = b"retry: 1000\n\n"
#: As the Agent Server's streams have it, but for the ends of lines.
CHAT_HEARTBEAT = b": heartbeat\n\n"


class ChatFrames:
    """Frames of one run for one reader, who has everything up to `after`.

    The translation begins with the run's first event whatever the reader has, because what an event means depends on
    those before it.
    """

    def __init__(self, translator: ChatTranslator, after: Position = START) -> None:
        self._translator = translator
        self._after = after

    def page(self, page: Page) -> bytes:
        """The next events of the run as one chunk; empty when the reader has them all."""
        return b"".join(chunk for event in page.events for chunk in self._of(event, page.number))

    def _of(self, event: Event, number: int) -> Iterable[bytes]:
        chat_events = self._translator.translate(event.event, event.data)
        if event.seq <= self._after.seq:
            return
        # Whoever has parts of this event is just behind the one before it.
        skip, self._after = self._after.parts, Position(event.seq)
        for part, chat_event in enumerate(chat_events, start=1):
            if part > skip:
                identity = part_id(number, event.seq, part, len(chat_events))
                yield frame(chat_event["type"], dumps(chat_event), identity, newline="\n")
