"""What the engine of `relayrun dev` decides when it was paused itself, and about a run that kills its process."""

import asyncio
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest

from tests.support.dev import Dev
from tests.support.reading import Reader, begin, client_of
from tests.support.waiting import until
from tests.support.witness import nothing_repeated, read_notes, steps_begun

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(180)]

PAUSED_SECONDS = 15  # a runner that is silent for ten is lost
INNOCENTS = 9


def ticks(count: int, pause: float) -> dict[str, Any]:
    return {"input": {"upto": count, "pause": pause}, "config": {"recursion_limit": 500}, "stream_mode": ["updates"]}


async def test_an_engine_that_was_paused_for_longer_than_a_runner_may_be_silent_declares_nobody_lost(dev: Dev) -> None:
    before = dev.log.read_text()
    # Its ticks are the clock: ten a second for the pause, and for a while before and after it.
    reader = await begin(dev.url, "ticks", **ticks(10 * (PAUSED_SECONDS + 6), 0.1))
    async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.read())
        await until(lambda: len(reader.steps) > 5)
        dev.process.send_signal(SIGSTOP)
        try:
            await until(lambda: len(reader.steps) > 10 * PAUSED_SECONDS + 5, seconds=120)
        finally:
            dev.process.send_signal(SIGCONT)
    assert reader.attempts == [1]
    reader.whole()
    assert "lost" not in dev.log.read_text().removeprefix(before)
    other = await begin(dev.url, "line")
    await other.read()
    assert (await other.result())["status"] == "success"


async def test_a_run_that_kills_its_process_fails_alone_beside_nine_innocent_ones(dev: Dev) -> None:
    innocents = [await begin(dev.url, "ticks", **ticks(50, 0.1)) for _ in range(INNOCENTS)]
    poison = await begin(dev.url, "poison")
    await fails_alone(dev, poison, innocents)
    kills = steps_begun(read_notes(dev.crash_folder, poison.thread), poison.run)
    assert 3 <= len(kills) <= 5, f"it killed {len(kills)} processes"


async def test_a_run_whose_end_breaks_its_runner_fails_alone_too(dev: Dev) -> None:
    poison = await begin(dev.url, "ticks", **ticks(20, 0.1))
    bomb = dev.crash_folder / poison.run / "bomb-broken-finish"
    bomb.parent.mkdir()
    bomb.touch()
    innocents = [await begin(dev.url, "ticks", **ticks(50, 0.1)) for _ in range(2)]
    await fails_alone(dev, poison, innocents)


async def fails_alone(dev: Dev, poison: Reader, innocents: list[Reader]) -> None:
    async with asyncio.timeout(150):
        await asyncio.gather(*(reader.read() for reader in [*innocents, poison]))
    assert (await poison.result())["reason"] == "BackoffLimitExceeded"
    for reader in innocents:
        ended = await reader.result()
        assert ended["status"] == "success", ended
        reader.whole()
        notes = read_notes(dev.crash_folder, reader.thread)
        nothing_repeated(notes)
        assert set(steps_begun(notes, reader.run)) == {f"tick {number}" for number in range(1, 51)}


@pytest.mark.parametrize("graph", ["ask", "ask_twice"])
async def test_of_a_double_clicked_answer_one_is_accepted_and_the_other_refused(dev: Dev, graph: str) -> None:
    waiting = await begin(dev.url, graph)
    await waiting.read()
    async with client_of(dev.url) as client:
        path, body = f"/threads/{waiting.thread}/runs", {"assistant_id": graph, "command": {"resume": "yes"}}
        answers = await asyncio.gather(*(client.post(path, json=body) for _ in range(2)))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        accepted = next(answer.json()["run_id"] for answer in answers if answer.is_success)
        await Reader(dev.url, waiting.thread, accepted).read()
        state = (await client.get(f"/threads/{waiting.thread}/state")).json()
    if graph == "ask":
        assert state["values"]["answers"] == ["ok? yes"]
    else:
        assert [interrupt["value"] for interrupt in state["interrupts"]] == ["two?"]
        assert "answers" not in state["values"] or state["values"]["answers"] == []
