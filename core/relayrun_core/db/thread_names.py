"""Which thread a name means: every caller of a thread by name asks here."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from relayrun_core.database import Database
from relayrun_core.ids import former_thread_id, uuid_of
from relayrun_core.storable import storable_text

_IDS = """
SELECT relayrun_thread_id_v1(%s, n.name, n.former) AS thread_id
FROM unnest(%s::text[], %s::uuid[]) WITH ORDINALITY AS n (name, former, place) ORDER BY n.place"""


async def thread_id_of(database: Database, owner: str | None, name: str) -> UUID:
    """As `thread_ids_of`, of one."""
    return uuid_of(name) or (await thread_ids_of(database, owner, [name]))[0]


async def thread_ids_of(database: Database, owner: str | None, names: Sequence[str]) -> list[UUID]:
    """The ids of the threads that `owner` calls so, in this order, whether they exist yet or not.

    A UUID-shaped name is the id itself, whoever owns that. For others nobody but this installation can tell the id
    before the thread is there. What Postgres cannot store is no thread's name, and gets an id that no thread has.
    """
    called = [name for name in dict.fromkeys(names) if uuid_of(name) is None and is_storable(name)]
    found: dict[str, UUID] = {}
    if called:
        former = [former_thread_id(owner, name) for name in called]
        rows = await database.fetch_all(_IDS, (owner, called, former))
        found = {name: row["thread_id"] for name, row in zip(called, rows, strict=True)}
    return [uuid_of(name) or found.get(name) or uuid4() for name in names]


def is_storable(text: str) -> bool:
    """Whether Postgres takes it as a text: no NUL, no half of a surrogate pair."""
    return storable_text(text) == text
