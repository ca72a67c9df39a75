"""The journal: appended behind the fence, read in pages, forgotten by the time of a run's end."""

from relayrun_core.database import Database
from relayrun_core.db.finish import finish
from relayrun_core.db.journal import END, Event, append, first_seq, read_events
from relayrun_core.runs import Run
from tests.support.runs import DONE, accept, claimed


async def told(database: Database, count: int) -> tuple[Run, list[Event]]:
    run = await claimed(database, await accept(database))
    events = [Event(first_seq(1) + n, "updates", b'{"n": %d}' % n) for n in range(count)]
    async with database.connection() as conn:
        await append(conn, run.run_id, 1, events)
    return run, events


async def test_events_are_read_in_pages_in_their_order(database: Database) -> None:
    run, events = await told(database, 5)
    first = await read_events(database, run.run_id, -1, limit=3)
    rest = await read_events(database, run.run_id, first[-1].seq)
    assert [*first, *rest] == events


async def test_events_told_again_after_a_reconnect_are_not_doubled(database: Database) -> None:
    run, events = await told(database, 3)
    async with database.connection() as conn:
        await append(conn, run.run_id, 1, events)
    assert await read_events(database, run.run_id, -1) == events


async def test_the_last_events_of_a_run_come_with_its_finish_and_before_its_end(database: Database) -> None:
    run, events = await told(database, 1)
    last = Event(first_seq(1) + 1, "values", b"{}")
    await finish(database, run.run_id, 1, DONE, [last])
    await finish(database, run.run_id, 1, DONE, [last])
    told_events = await read_events(database, run.run_id, -1)
    assert told_events[:2] == [*events, last]
    assert [event.event for event in told_events[2:]] == [END]
