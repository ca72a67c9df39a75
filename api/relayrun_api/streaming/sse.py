"""Encodes server-sent events, and parses the ids with which a reader resumes. Pure."""

from typing import Annotated, NamedTuple

from fastapi import Header

from relayrun_core.ids import event_id, parse_event_id

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
#: A comment, which tells proxies and clients that the stream lives.
HEARTBEAT = b": heartbeat\r\n\r\n"


#: With which a client comes back that lost its connection: the `id` of the last event that it had.
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=128)]


class Position(NamedTuple):
    """Where a reader is in a run: it has everything up to `seq`, and `parts` events of what follows.

    `parts` is for streams that make several events out of one of the journal's.
    """

    seq: int = -1
    parts: int = 0


START = Position()


# A bigint: one position beyond it would spoil the question that is asked for all readers at once.
_LARGEST_SEQ = 2**63 - 1


def frame(event: str, data: bytes, identity: str | None = None, *, newline: str = "\r\n") -> bytes:
    """One event. `data` is JSON on one line. Lines end as in the Agent Server's streams: there are clients that split
    them without a parser.
    """
    head = f"event: {event}{newline}id: {identity}" if identity else f"event: {event}"
    return b"".join((f"{head}{newline}data: ".encode(), data, newline.encode() * 2))


def part_id(number: int, seq: int, part: int, parts: int) -> str:
    """The id of the `part`-th (from 1) of `parts` events made of one: only the last has the plain id."""
    whole = event_id(number, seq)
    return whole if part == parts else f"{whole}.{part}"


def position_after(text: str | None, number: int) -> Position | None:
    """Where a reader is in the `number`-th run of a thread after the event with the id `text`.

    A reader of an earlier run has nothing of this one. None where that is not known: the text is no event id, or one of
    a later run.
    """
    if not text:
        return None
    whole, _, part = text.strip().partition(".")
    try:
        of_run, seq = parse_event_id(whole)
        parts = int(part) if part else 0
    except ValueError:
        return None
    if of_run > number or not -1 <= seq <= _LARGEST_SEQ:
        return None
    if of_run < number:
        return START
    # A part's whole event is not behind the reader yet.
    return Position(seq - 1, parts) if parts else Position(seq)
