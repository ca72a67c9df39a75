"""The streams of the LangGraph routes: journal events as they are, of the modes that were asked for. Pure."""

from collections.abc import Sequence

from relayrun_api.stream.sse import frame
from relayrun_core.ids import event_id
from relayrun_core.store.follow import Page

#: What a run can be asked to stream.
STREAM_MODES = (
    "values",
    "updates",
    "messages-tuple",
    "messages",
    "custom",
    "debug",
    "tasks",
    "checkpoints",
    "events",
)

_ALWAYS = frozenset(("metadata", "error", "end"))
_EVENTS_OF_MODE = {
    "messages-tuple": {"messages"},
    "messages": {"messages/metadata", "messages/partial", "messages/complete"},
}


class EventFilter:
    """Lets through the events of some stream modes; of all that were journaled, when `modes` is None."""

    def __init__(self, modes: Sequence[str] | None) -> None:
        self._events = None if modes is None else _ALWAYS.union(*(_EVENTS_OF_MODE.get(mode, {mode}) for mode in modes))

    def __call__(self, event: str) -> bool:
        """Whether the event of this name goes through."""
        return self._events is None or event.partition("|")[0] in self._events


def frames(page: Page, wanted: EventFilter) -> bytes:
    """A page as one chunk."""
    return b"".join(
        frame(event.event, event.data, event_id(page.number, event.seq)) for event in page.events if wanted(event.event)
    )
