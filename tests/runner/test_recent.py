"""Which events a commit tells again: those that a crash of Postgres may have forgotten."""

from __future__ import annotations

import pytest

from relayrun_core.database import Database
from relayrun_core.db.journal import Event
from relayrun_runner.attempt import batches as recent
from relayrun_runner.attempt.batches import RecentEvents

ONE, TWO, THREE = (Event(number, "custom", b"{}") for number in (1, 2, 3))


@pytest.fixture
def server() -> Database:
    """A database that is never connected to: a test says when its connections are new."""
    return Database("postgresql:///nowhere")


def committed(events: RecentEvents, *new: Event, durable: bool = False) -> list[Event]:
    """Commit; what is told again with it is returned."""
    again = events.to_resend()
    events.committed(list(new), durable=durable)
    return again


def test_a_new_connection_is_told_what_was_committed_asynchronously(server: Database) -> None:
    events = RecentEvents(server)
    assert committed(events, ONE) == []
    assert committed(events, TWO) == []
    server.connections_made += 1
    assert committed(events, THREE) == [ONE, TWO]
    assert committed(events) == []


def test_what_precedes_a_synchronous_commit_is_never_told_again(server: Database) -> None:
    events = RecentEvents(server)
    committed(events, ONE)
    committed(events, TWO, durable=True)
    committed(events, THREE)
    assert events.all() == [THREE]
    server.connections_made += 1
    assert committed(events) == [THREE]


def test_a_commit_that_failed_is_followed_by_one_that_tells_again(server: Database) -> None:
    events = RecentEvents(server)
    committed(events, ONE)
    server.connections_made += 1
    assert events.to_resend() == [ONE]
    assert committed(events, TWO) == [ONE]


def test_an_event_is_forgotten_when_no_crash_can_have_lost_it(
    server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(recent, "monotonic_seconds", lambda: now)
    events = RecentEvents(server)
    committed(events, ONE)
    now += 4
    committed(events, TWO)
    assert events.all() == [TWO]


def test_an_event_that_was_told_again_late_is_as_new_as_the_server_that_has_it(
    server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(recent, "monotonic_seconds", lambda: now)
    events = RecentEvents(server)
    committed(events, ONE)
    server.connections_made += 1
    now += 60  # it was away for so long
    assert committed(events, TWO) == [ONE]
    assert events.all() == [ONE, TWO]
