"""Names of threads: whose they are, what stays of those that versions before made, and what two first uses come to."""

import asyncio
from uuid import UUID, uuid4

import pytest

from relayrun_core.database import Database
from relayrun_core.db.runs import create_run, list_runs
from relayrun_core.db.threads import create_thread, delete_thread, get_thread, thread_id_of, thread_ids_of
from relayrun_core.errors import ThreadNotFound
from relayrun_core.ids import former_thread_id, new_run_id
from relayrun_core.runs import NewRun, RunSpec

NAME = "default_user"


async def used(database: Database, owner: str | None, name: str = NAME) -> UUID:
    """The thread of that name, after a run on it."""
    thread_id = await thread_id_of(database, owner, name)
    new = NewRun(new_run_id(), thread_id, "default", "steps", RunSpec(input={}), owner=owner, thread_name=name)
    await create_run(database, new)
    return thread_id


async def test_a_name_cannot_be_taken_by_somebody_else_in_advance(database: Database) -> None:
    taken = former_thread_id("alice", NAME)
    await create_thread(database, taken, owner="mallory")
    hers = await used(database, "alice")
    assert hers != taken
    assert await thread_id_of(database, "alice", NAME) == hers
    thread = await get_thread(database, hers)
    assert thread is not None
    assert (thread.owner, thread.name) == ("alice", NAME)
    # Nor by giving the thread that name.
    await create_thread(database, former_thread_id("alice", "other"), owner="mallory", name="other")
    assert await used(database, "alice", "other") != former_thread_id("alice", "other")


@pytest.mark.parametrize("owner", ["alice", None])
@pytest.mark.parametrize("name", [NAME, None])
async def test_threads_of_versions_before_keep_their_ids(
    database: Database, owner: str | None, name: str | None
) -> None:
    before = former_thread_id(owner, NAME)
    await create_thread(database, before, owner=owner, name=name)
    assert await used(database, owner) == before
    assert len(await list_runs(database, before)) == 1


async def test_two_first_uses_are_of_one_thread(database: Database) -> None:
    ids = await asyncio.gather(*(used(database, "alice", f"name-{n // 8}") for n in range(32)))
    assert [len(set(ids[n : n + 8])) for n in (0, 8, 16, 24)] == [1] * 4
    assert len(set(ids)) == 4
    for thread_id in set(ids):
        assert len(await list_runs(database, thread_id)) == 8


async def test_a_name_means_the_same_after_its_thread_was_deleted(database: Database) -> None:
    first = await thread_id_of(database, "alice", NAME)
    await create_thread(database, first, owner="alice", name=NAME)
    await delete_thread(database, first)
    assert await thread_id_of(database, "alice", NAME) == first


async def test_names_are_told_apart(database: Database) -> None:
    whose = [
        ("alice", "b"),
        ("aliceb", ""),
        ("alice", "B"),
        ("ali", "ceb"),
        (None, "b"),
        ("b", "alice"),
        ("alice", "b "),
    ]
    ids = [await thread_id_of(database, owner, name) for owner, name in whose]
    assert len(set(ids)) == len(ids)
    assert all(found.version == 4 for found in ids)
    # Nobody and the empty text are one owner, as everywhere.
    assert await thread_id_of(database, "", "b") == await thread_id_of(database, None, "b")


async def test_several_are_looked_up_at_once_in_their_order(database: Database) -> None:
    given = uuid4()
    names = ["x", str(given), "y", "x", "nul\0", "half \ud800"]
    x, itself, y, again, nul, half = await thread_ids_of(database, "alice", names)
    assert (itself, again) == (given, x)
    assert [x, y] == [await thread_id_of(database, "alice", name) for name in ("x", "y")]
    for nobodys in (nul, half):
        assert await get_thread(database, nobodys) is None


async def test_ids_are_made_with_a_secret_of_the_installation(database: Database) -> None:
    here = await thread_id_of(database, "alice", NAME)
    [row] = await database.fetch_all("SELECT octet_length(secret) AS bytes FROM installation")
    assert row["bytes"] == 32
    await database.execute("UPDATE installation SET secret = sha256(gen_random_uuid()::text::bytea)")
    assert await thread_id_of(database, "alice", NAME) != here


async def test_another_owners_thread_is_not_there_by_its_id(database: Database) -> None:
    hers = await used(database, "alice")
    new = NewRun(new_run_id(), hers, "default", "steps", RunSpec(input={}), owner="mallory", thread_name=str(hers))
    with pytest.raises(ThreadNotFound):
        await create_run(database, new)
