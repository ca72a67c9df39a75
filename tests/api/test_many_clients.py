"""Very many clients of one API process: what they cost while nothing happens, and that none leaves anything behind."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psutil
import pytest

from relayrun_api.chat.translator import CHAT_HEARTBEAT
from relayrun_api.http.streamed import HEARTBEAT_SECONDS
from relayrun_api.streaming.sse import HEARTBEAT
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from tests.api.play import STEPS, Attempt, register
from tests.api.process import ApiProcess, api_process
from tests.support.postgres import fresh_database
from tests.support.reading import client_of
from tests.support.waiting import until, until_it_is

IDLE = 1_000
DROPPED = 10_000
STUCK = 20
_AT_ONCE = 100
_MEGABYTE = 1_000_000
# The last chunk of an answer that was ended as it should be.
_FINISHED = b"0\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def many_descriptors() -> Iterator[None]:
    """As many connections as the system lets us have; the API inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    async with fresh_database(postgres) as url, Database.open(url, role="runner") as database:
        await register(database, "steps", STEPS)
        yield database


@pytest.fixture(scope="module")
async def there(database: Database, many_descriptors: None) -> AsyncIterator[ApiProcess]:
    async with api_process(database.url) as api:
        yield api


class Connection(asyncio.Protocol):
    """A connection to the API, and the bytes that came."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = bytearray()
        self.answered = asyncio.Event()

    @classmethod
    async def open(cls, api: ApiProcess) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", api.port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if b"\r\n\r\n" in self.received:
            self.answered.set()

    async def ask(self, path: str) -> None:
        """Send a request, and wait for the head of its answer."""
        self.transport.write(request(path))
        await self.answered.wait()
        assert self.received.startswith(b"HTTP/1.1 200 "), bytes(self.received)


class Cost:
    """What a process takes of the machine."""

    def __init__(self, api: ApiProcess) -> None:
        self._process = psutil.Process(api.process.pid)

    @property
    def megabytes(self) -> float:
        family = (self._process, *self._process.children(recursive=True))
        return float(sum(process.memory_info().rss for process in family)) / _MEGABYTE

    @property
    def cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def descriptors(self) -> int:
        return int(self._process.num_fds())


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: api\r\n\r\n".encode()


def stream_of(run: dict[str, Any]) -> str:
    return f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream?last_event_id=-"


async def accept(client: httpx.AsyncClient) -> dict[str, Any]:
    run: dict[str, Any] = (await client.post("/runs", json={"assistant_id": "steps"})).json()
    return run


async def open_streams(client: httpx.AsyncClient) -> float:
    """The metric."""
    lines = (await client.get("/metrics")).text.splitlines()
    return float(next(line for line in lines if line.startswith("relayrun_sse_connections ")).split()[1])


async def are_open(client: httpx.AsyncClient, count: int) -> bool:
    return await open_streams(client) == count


@pytest.mark.slow
async def test_a_thousand_idle_streams_cost_little_and_all_get_the_end(there: ApiProcess, database: Database) -> None:
    cost, busy = Cost(there), asyncio.Semaphore(_AT_ONCE)
    connections: list[Connection] = []
    alone = cost.megabytes

    async def join(path: str) -> None:
        async with busy:
            connection = await Connection.open(there)
            connections.append(connection)
            await connection.ask(path)

    async with client_of(there.url) as client:
        runs = [await accept(client) for _ in range(4)]
        paths = [path for run in runs for path in (stream_of(run), f"/chat/{run['run_id']}")]
        await asyncio.gather(*(join(paths[number % len(paths)]) for number in range(IDLE)))
        await until_it_is(lambda: are_open(client, IDLE))
        signs = (HEARTBEAT, CHAT_HEARTBEAT)
        await until(lambda: all(any(sign in each.received for sign in signs) for each in connections))

        before = cost.cpu_seconds
        await asyncio.sleep(HEARTBEAT_SECONDS)  # what is measured is a time in which nothing happens
        cpu, memory = (cost.cpu_seconds - before) / HEARTBEAT_SECONDS, cost.megabytes
        print(f"{IDLE} idle streams: {memory:.0f} MB (alone {alone:.0f} MB), {cpu:.1%} of a core")
        assert memory < 300
        assert cpu < 0.15

        await (await Attempt.begin(database, runs[0]["run_id"])).succeed()
        finished = runs[0]["run_id"].encode()
        readers = [connection for connection in connections if finished in connection.received]
        assert len(readers) == IDLE / len(runs)
        await until(lambda: all(reader.received.endswith(_FINISHED) for reader in readers))
        assert sum(reader.received.count(b"event: end\n") for reader in readers) == len(readers) / 2  # the chat's
        await until_it_is(lambda: are_open(client, IDLE - len(readers)))  # a reader has its last event a moment before
        for connection in connections:
            connection.transport.abort()
        await until_it_is(lambda: are_open(client, 0))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_ten_thousand_connections_that_are_dropped_leave_nothing_behind(
    there: ApiProcess, database: Database
) -> None:
    cost, busy = Cost(there), asyncio.Semaphore(_AT_ONCE)

    async def come_and_go(number: int, path: str) -> None:
        async with busy:
            connection = await Connection.open(there)
            match number % 6:
                case 0:
                    pass  # says nothing
                case 1:
                    connection.transport.write(request(path)[:-2])
                case 2:
                    connection.transport.write(request(path))
                case _:
                    await connection.ask(path)
            if number % 4 < 2:
                connection.transport.abort()
            else:
                connection.transport.close()

    async with client_of(there.url) as client:
        run = await accept(client)
        attempt = await Attempt.begin(database, run["run_id"])
        await attempt.tell("values", {"steps": ["a"]})
        paths = (stream_of(run), f"/chat/{run['run_id']}", stream_of(await accept(client)))

        async def many(count: int) -> None:
            await asyncio.gather(*(come_and_go(number, paths[number % 3]) for number in range(count)))
            await until_it_is(lambda: are_open(client, 0))

        # Pools and allocators grow at first; what matters is that they stop.
        await many(DROPPED // 10)
        memory, descriptors = cost.megabytes, cost.descriptors
        await many(DROPPED - DROPPED // 10)
        print(f"{DROPPED} dropped: {cost.megabytes - memory:+.1f} MB, {cost.descriptors - descriptors:+} descriptors")
        await until(lambda: cost.descriptors <= descriptors)
        assert cost.megabytes - memory < 20
        await attempt.succeed()
        assert "event: values" in (await client.get(stream_of(run))).text


async def test_clients_that_stop_reading_cost_a_page_each_and_slow_nobody(
    there: ApiProcess, database: Database
) -> None:
    cost = Cost(there)
    async with client_of(there.url) as client:
        run, other = await accept(client), await accept(client)
        attempt = await Attempt.begin(database, run["run_id"])
        for number in range(200):
            await attempt.tell("values", {"steps": [number], "filler": "x" * 100_000})
        memory = cost.megabytes
        stuck = [stuck_reader(there, stream_of(run)) for _ in range(STUCK)]
        reading = asyncio.create_task(client.get(stream_of(other)))
        await until_it_is(lambda: are_open(client, STUCK + 1))

        async with asyncio.timeout(10):
            await (await Attempt.begin(database, other["run_id"])).succeed()
            assert "event: metadata" in (await reading).text
        await attempt.succeed()
        async with asyncio.timeout(60):
            assert len((await client.get(stream_of(run))).content) > 200 * 100_000
        print(f"{STUCK} stuck readers: {cost.megabytes - memory:+.1f} MB")
        # All they could have would be 400 MB.
        assert cost.megabytes - memory < STUCK * 2
        await until_it_is(lambda: are_open(client, STUCK))
        for reader in stuck:
            reader.close()
        await until_it_is(lambda: are_open(client, 0))


def stuck_reader(api: ApiProcess, path: str) -> socket.socket:
    """A client that asks and never reads."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", api.port))
    reader.sendall(request(path))
    return reader
