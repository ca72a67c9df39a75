"""Two hundred runs, and a runner killed every second: all finish, every step's effect is there, nothing is repeated."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.support.dev import Dev
from tests.support.reading import Reader, begin, client_of
from tests.support.witness import nothing_repeated, read_notes, steps_begun

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(240)]

RUNS = 200
# All of them at once wait longer for a connection of a busy machine's API than it lets anybody wait.
STARTS_AT_ONCE = 20
FEWEST_KILLS = 5
TICKS = 8
WORK = {"take", "mill", "paint", "polish", "ship"}
LIMIT_SECONDS = 180


class Killer:
    """Kills one of dev's ready runners every second, unless it is the last one."""

    def __init__(self, dev: Dev) -> None:
        self._dev = dev
        self._chance = random.Random(4711)
        self.killed = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(1)  # the pace of the killing
            runners = self._dev.ready_runners()
            # A machine that starts runners more slowly than this kills them would be left without any.
            if len(runners) > 1:
                with suppress(psutil.NoSuchProcess):
                    self._chance.choice(runners).kill()
                    self.killed += 1


async def test_two_hundred_runs_survive_a_kill_every_second(dev: Dev) -> None:
    killer = Killer(dev)
    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        killing = tasks.create_task(killer.run())
        turns = asyncio.Semaphore(STARTS_AT_ONCE)

        async def start_in_turn(number: int) -> Reader:
            async with turns:
                return await start(dev, number)

        readers = await asyncio.gather(*(start_in_turn(number) for number in range(RUNS)))
        await until_all_ended(dev, readers)
        while killer.killed < FEWEST_KILLS:  # where runners start slowly, few of them can be killed meanwhile
            readers.append(await start(dev, len(readers)))
            await until_all_ended(dev, readers[-1:])
        killing.cancel()
    print(f"{killer.killed} runners were killed")
    again = 0
    for number, reader in enumerate(readers):
        await reader.read()
        ended = await reader.result()
        assert ended["status"] == "success", ended
        reader.whole()
        notes = read_notes(dev.crash_folder, reader.thread)
        nothing_repeated(notes)
        begun = steps_begun(notes, reader.run)
        assert set(begun) == steps_of(number)
        assert set(reader.steps) == ({"tick"} if number % 2 else WORK)
        again += len(begun) - len(set(begun))
    print(f"{again} steps in flight were done again")
    assert again > 0, "no kill hit a run: this tests nothing"


def steps_of(number: int) -> set[str]:
    return {f"tick {tick}" for tick in range(1, TICKS + 1)} if number % 2 else WORK


async def start(dev: Dev, number: int) -> Reader:
    if number % 2:
        spec: dict[str, Any] = {"input": {"upto": TICKS, "pause": 0.2}}
        return await begin(dev.url, "ticks", **spec)
    return await begin(dev.url, "work", input={"pause": 0.3})


async def until_all_ended(dev: Dev, readers: list[Reader]) -> None:
    async with client_of(dev.url) as client:
        waiting = list(readers)
        while waiting:
            reader = waiting[-1]
            answer = await client.get(f"/threads/{reader.thread}/runs/{reader.run}")
            if answer.json()["status"] in ("pending", "running"):
                await asyncio.sleep(0.2)  # a client that polls
            else:
                waiting.pop()
