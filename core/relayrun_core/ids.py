"""Identifiers: how threads, runs, assistants and events are named. Pure functions."""

import os
from uuid import UUID, uuid5

from relayrun_core.clock import unix_nanoseconds

# The namespace of names that owners give to threads; never changes, or names would lose their threads.
NAMESPACE = UUID("5a1f3c1e-6a59-5d7e-9a0e-5e1a4b7d2c10")

# langgraph-api derives the id of a graph's default assistant with this namespace, so saved ids keep working.
ASSISTANT_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


def uuid_of(text: str) -> UUID | None:
    """Parse a UUID; None for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None


def former_thread_id(owner: str | None, name: str) -> UUID:
    """Return the id of the thread `name` of `owner` in earlier versions. It is no secret: anybody can compute it.

    Threads that were made so keep it; `relayrun_core.db.threads` knows.
    """
    return uuid5(NAMESPACE, f"{owner or ''}\0{name}")


def inline_run_id(uid: str) -> UUID:
    """The id of a run whose payload is in its AgentRun: made from that object's `metadata.uid`."""
    return uuid5(NAMESPACE, f"run\0{uid}")


def inline_thread_id(uid: str) -> UUID:
    """The id of the new thread of a run whose AgentRun, of that `metadata.uid`, names none."""
    return uuid5(NAMESPACE, f"thread\0{uid}")


def default_assistant_id(graph: str) -> UUID:
    """The id of the assistant that every graph has without anybody creating it."""
    return uuid5(ASSISTANT_NAMESPACE, graph)


def new_run_id() -> UUID:
    """A random UUID (version 7, RFC 9562) that sorts by creation time, in milliseconds."""
    stamp = (unix_nanoseconds() // 1_000_000).to_bytes(6, "big")
    raw = bytearray(stamp + os.urandom(10))
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(raw))


def event_id(number: int, seq: int) -> str:
    """Return an event's id for clients: the number of the run in its thread, and the event's place in that run."""
    return f"{number}-{seq}"


def parse_event_id(text: str) -> tuple[int, int]:
    """Parse an event id into the run's number and the seq. `-`, `-1` and the empty string mean the start: (0, -1).

    A number alone is the place before that run's first event, so `0` is before all events. Raises ValueError for
    anything else that is not an event id.
    """
    if text in ("", "-", "-1"):
        return 0, -1
    number, _, seq = text.partition("-")
    return int(number), int(seq or 0)
