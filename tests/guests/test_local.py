"""Hostile guests in `relayrun dev`: each ends as it is known to, and innocents beside them notice nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import psutil
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from tests.guests import guests
from tests.guests.guests import Guest, how_it_differs, nothing_differs
from tests.guests.innocents import INNOCENT_VALUES, innocent
from tests.guests.party import RUNNERS, Party, party
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(420)]

UNRULY = {**guests.raising(), **guests.harmful(), **guests.giving()}
DEADLY = guests.deadly()
_AT_ONCE = 8


@pytest.fixture(scope="module")
async def ended(postgres: EmbeddedPostgres) -> AsyncIterator[Party]:
    """A party at which all guests have been: first those that leave their process alive."""
    async with party(postgres) as here:
        await here.wave(UNRULY)
        await here.wave(DEADLY)
        yield here


async def test_each_guest_ends_as_it_is_known_to(ended: Party) -> None:
    nothing_differs(
        {
            name: how_it_differs(guest.end, run.status.value, run.reason, run.error)
            for name, guest in {**UNRULY, **DEADLY}.items()
            if (run := ended.ran[name])
        }
    )


async def test_guests_get_no_more_attempts_than_they_may_fail(ended: Party) -> None:
    """The first kept their input, which is progress; in the company of others one may die before and behind that."""
    attempts = await ended.attempts()
    nothing_differs({name: (n := attempts[ended.ran[name].run_id]) != 1 and n for name in UNRULY})
    nothing_differs(
        {name: (n := attempts[ended.ran[name].run_id]) > guest.most_attempts and n for name, guest in DEADLY.items()}
    )


async def test_whatever_a_guest_did_can_be_read(ended: Party) -> None:
    wrong: dict[str, str] = {}
    room = asyncio.Semaphore(_AT_ONCE)

    async def read(name: str, guest: Guest) -> None:
        run = ended.ran[name]
        async with room:
            told = await ended.told(run)
            answers = [await ended.get(f"/threads/{run.thread_id}{path}") for path in ("", "/state", "/history")]
        try:
            if guest.input.get("place") == "reducer":  # whoever asks for this state calls that too
                answers = [answer for answer in answers if answer.status_code != httpx.codes.BAD_GATEWAY]
            thread, *found = (orjson.loads(answer.raise_for_status().content) for answer in answers)
            # One that waits for an answer is a success, as in the Agent Server.
            status = "success" if run.status.value == "interrupted" else run.status.value
            assert (await told.result())["status"] == status
            if guest.end.value is not ...:
                assert thread["values"]["value"] == found[0]["values"]["value"] == guest.end.value
        except (AssertionError, httpx.HTTPStatusError, ValueError) as error:
            wrong[name] = f"{type(error).__name__}: {error}"[:300]

    async with asyncio.TaskGroup() as tasks:
        for name, guest in UNRULY.items():
            tasks.create_task(read(name, guest))
    nothing_differs(wrong)


async def test_all_innocents_succeed_and_no_effect_is_lost(ended: Party) -> None:
    for run in (await ended.ended(ended.innocents)).values():
        assert run.status.value == "success", (run.reason, run.message, run.error)
        answer = await ended.get(f"/threads/{run.thread_id}")
        assert answer.json()["values"] == INNOCENT_VALUES
        assert (await (await ended.told(run)).result())["status"] == "success"


@pytest.mark.parametrize("kind", [*guests.ERRORS, "mute", "anonymous"])
async def test_routes_and_handlers_that_raise_answer_that_they_did(ended: Party, kind: str) -> None:
    before = {process.pid for process in ended.dev.ready_runners()}
    for route, status in {"raising": 500, "thread": 500, "behind": 200}.items():
        assert (await ended.get(f"/guests/{route}/{kind}")).status_code == status, route
    with pytest.raises(httpx.RemoteProtocolError):  # cut off behind its first words
        await ended.http.get(f"/guests/middle/{kind}")
    assert (await ended.get("/threads/x", Authorization=f"raise {kind}")).status_code == 500
    assert {process.pid for process in ended.dev.ready_runners()} == before


async def test_the_pool_is_whole_and_each_of_its_processes_executes_runs(ended: Party) -> None:
    dev = ended.dev
    await until(lambda: len(dev.running("relayrun_runner")) == len(dev.ready_runners()) == RUNNERS)
    for url in dev.listed_urls():
        assert (await ended.get(f"{url}/readyz")).status_code == httpx.codes.OK
    runs = await ended.ended([await ended.accept(innocent()) for _ in range(4 * RUNNERS)])
    assert {run.status.value for run in runs.values()} == {"success"}
    assert {run.runner for run in runs.values()} == set(dev.listed_runners())
    children = psutil.Process(dev.process.pid).children(recursive=True)
    assert not [child for child in children if child.status() == psutil.STATUS_ZOMBIE]


async def test_nothing_that_guests_started_is_left_when_all_has_ended(ended: Party) -> None:
    started = [name for name in guests.HARMFUL if name.startswith(("fork", "program"))]
    pids = []
    for name in started:
        answer = await ended.get(f"/threads/{ended.ran[name].thread_id}")
        pids += answer.json()["values"]["left"]
    assert len(pids) == len(started)
    await ended.dev.stop()
    await until(lambda: not any(is_of(ended.dev.folder, pid) for pid in pids))


def is_of(folder: Path, pid: int) -> bool:
    """Whether the process was started below a dev of this folder; its number may be somebody else's by now."""
    try:
        return any(str(folder) in value for value in psutil.Process(pid).environ().values())
    except psutil.Error:
        return False
