"""The `/chat` stream as bytes: which chat events a reader lacks, with ids by which it can come back. Pure."""

from collections.abc import Iterable

from relayrun_api.chat.translator import ChatTranslator
from relayrun_api.http.responses import dumps
from relayrun_api.streaming.sse import START, Position, frame, part_id
from relayrun_core.db.journal import Event, Page

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
