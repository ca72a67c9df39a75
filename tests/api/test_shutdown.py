"""An API process that is asked to go, as on each rollout: streams are cut off, and their readers go on at another."""

from __future__ import annotations

import asyncio
import itertools

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from relayrun_core.database import Database
from tests.api.play import Attempt
from tests.api.process import ApiProcess, api_process
from tests.support.cutting import CuttingProxy
from tests.support.reading import Told, client_of, events
from tests.support.waiting import until, until_it_is

_SECONDS = 20  # pods have half a minute


class Reader:
    """Reads one stream; `read` once more goes on where it was."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.told: list[Told] = []

    @property
    def numbers(self) -> list[int]:
        """Which of the run's own events came."""
        return [told.data.get("value", told.data)["number"] for told in self.told if told.event == "custom"]

    async def read(self, client: httpx.AsyncClient) -> None:
        """Read until the server ends the answer. Raises RemoteProtocolError if it is cut off instead."""
        headers = {"Last-Event-ID": self.told[-1].id if self.told else "-"}
        async with client.stream("GET", self.path, headers=headers) as response:
            assert response.status_code == 200
            async for told in events(response):
                self.told.append(told)


def readers_of(run: dict[str, str]) -> list[Reader]:
    """One of the journal and one of the chat."""
    return [Reader(f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream"), Reader(f"/chat/{run['run_id']}")]


@pytest.mark.crash
async def test_a_process_that_is_told_to_go_hands_its_readers_over(
    replicas: tuple[ApiProcess, ApiProcess], database: Database
) -> None:
    going, staying = replicas
    handed_over = asyncio.Event()

    async def tell(attempt: Attempt) -> int:
        for number in itertools.count():
            await attempt.tell("custom", {"number": number})
            if handed_over.is_set():
                break
        return number + 1

    async with client_of(going.url) as client, client_of(staying.url) as other:
        idle, busy = [(await client.post("/runs", json={"assistant_id": "talk"})).json() for _ in range(2)]
        attempt = await Attempt.begin(database, busy["run_id"])
        waiting, following = readers_of(idle), readers_of(busy)
        reading = asyncio.gather(*(reader.read(client) for reader in (*waiting, *following)), return_exceptions=True)
        # One who has said nothing yet holds nobody up.
        _, silent = await asyncio.open_connection("127.0.0.1", going.port)
        telling = asyncio.create_task(tell(attempt))
        await until(lambda: all(len(reader.numbers) > 20 for reader in following))

        going.process.terminate()
        async with asyncio.timeout(_SECONDS):
            endings = await reading
            assert await going.process.wait() == 0
        silent.close()
        assert [type(ending) for ending in endings] == [httpx.RemoteProtocolError] * 4

        before = [len(reader.numbers) for reader in following]
        following_on = asyncio.gather(*(reader.read(other) for reader in (*waiting, *following)))
        await until(lambda: all(len(reader.numbers) > had for reader, had in zip(following, before, strict=True)))
        handed_over.set()
        told = await telling
        await attempt.succeed()
        await (await Attempt.begin(database, idle["run_id"])).succeed()
        async with asyncio.timeout(_SECONDS):
            await following_on  # each comes to its end in order
    for reader in (*waiting, *following):
        assert [one.event for one in reader.told].count("end") == ("chat" in reader.path)
        ids = [one.id for one in reader.told]
        assert len(set(ids)) == len(ids)
    for reader in following:
        assert reader.numbers == list(range(told))


@pytest.mark.crash
async def test_a_program_with_the_sdk_reads_on_at_another_process(
    replicas: tuple[ApiProcess, ApiProcess], database: Database
) -> None:
    """Also if its run has ended when it comes back: the SDK takes a stream that ends in order for one that is over."""
    going, staying = replicas
    numbers: list[int] = []

    async def read() -> None:
        # As behind an ingress, whose connections outlive those to the API: after a stream the SDK can ask for its run.
        unkept = httpx.Limits(max_keepalive_connections=0)
        async with LangGraphClient(httpx.AsyncClient(base_url=proxy.url, limits=unkept)) as sdk:
            async for part in sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-"):
                if part.event == "custom":
                    numbers.append(part.data["number"])  # noqa: PERF401 - looked at while it grows

    async with CuttingProxy(going.port).open() as proxy, client_of(going.url) as client:
        run = (await client.post("/runs", json={"assistant_id": "talk"})).json()
        attempt = await Attempt.begin(database, run["run_id"])
        reading = asyncio.create_task(read())
        for number in range(5):
            await attempt.tell("custom", {"number": number})
        await until(lambda: len(numbers) == 5)
        proxy.lets_in.clear()
        proxy.target = staying.port
        going.process.terminate()
        assert await going.process.wait() == 0
        for number in range(5, 10):
            await attempt.tell("custom", {"number": number})
        await attempt.succeed()
        proxy.lets_in.set()
        async with asyncio.timeout(_SECONDS):
            await reading
    assert numbers == list(range(10))


@pytest.mark.crash
async def test_what_is_under_way_is_answered_before_the_process_goes(database: Database) -> None:
    """A request whose statement waits for a lock; whoever comes after the signal is not let in."""
    async with api_process(database.url) as going, client_of(going.url) as client:
        made = (await client.post("/threads", json={})).json()
        async with database.connection() as conn, conn.transaction():
            await conn.execute("SELECT 1 FROM threads WHERE thread_id = %s FOR UPDATE", (made["thread_id"],))
            patch = {"metadata": {"kept": True}}
            patching = asyncio.create_task(client.patch(f"/threads/{made['thread_id']}", json=patch))
            blocked = "SELECT 1 FROM pg_locks WHERE NOT granted"

            async def waits() -> bool:
                return bool(await database.fetch_all(blocked))

            await until_it_is(waits)
            going.process.terminate()
            await until_it_is(lambda: _refuses(going))
        async with asyncio.timeout(_SECONDS):
            assert (await patching).json()["metadata"] == {"kept": True}
            assert await going.process.wait() == 0


async def _refuses(api: ApiProcess) -> bool:
    """Whether it takes no connections any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was in the queue when that was closed
        return False
    writer.close()
    return False
