"""Clients that say nothing, or not all, or do not read: none is waited for without end, none cut off for being slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import orjson
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from relayrun_api.http.uvicorn_protocol import BoundedHttp, BoundedSocket
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core import http_timeouts as core
from relayrun_core.database import Database
from relayrun_core.http_timeouts import ClientTimeouts, with_timeouts
from tests.api.play import STEPS, register
from tests.api.process import ApiProcess, api_process
from tests.support.postgres import fresh_database
from tests.support.serving import serving
from tests.support.waiting import until

LIMIT = 60  # seconds for what takes a few
SLOW_SECONDS = 1.0
_GET = b"GET /ok HTTP/1.1\r\nHost: api\r\n"
_POST = b"POST /threads/search HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"

#: What a client sends, and the status of the answer, if there can be one.
SILENT: dict[str, tuple[bytes, int | None]] = {
    "nothing": (b"", None),
    "half a line": (b"GET /o", 408),
    "half a head": (_GET, 408),
    "a body of which nothing comes": (_POST + b"Content-Length: 2\r\n\r\n", 408),
    "a body of which some comes": (_POST + b"Content-Length: 200\r\n\r\n{", 408),
    "chunks without an end": (_POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408),
    "half a head behind an answer": (_GET + b"\r\n" + _GET, 408),
}


@pytest.fixture(scope="module")
async def there(postgres: EmbeddedPostgres) -> AsyncIterator[ApiProcess]:
    async with fresh_database(postgres) as url, Database.open(url, role="runner") as database:
        await register(database, "steps", STEPS)
        async with api_process(url, slow_client_seconds=str(SLOW_SECONDS)) as api:
            yield api


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other side closes."""
    async with asyncio.timeout(LIMIT):
        return await reader.read()


@pytest.mark.parametrize(("sent", "status"), SILENT.values(), ids=SILENT)
async def test_who_stops_in_the_middle_is_not_waited_for(there: ApiProcess, sent: bytes, status: int | None) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
    writer.write(sent)
    answer = (await until_closed(reader)).rpartition(b"HTTP/1.1 ")[2]
    assert answer[:3] == (b"" if status is None else b"%d" % status)
    if status is not None:
        problem = orjson.loads(answer.partition(b"\r\n\r\n")[2])
        assert problem["code"] in ("head_too_slow", "body_too_slow")
    writer.close()


async def test_a_trickle_is_not_progress(there: ApiProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
    writer.write(_POST + b"Content-Length: 1000000\r\n\r\n")

    async def drip() -> None:
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    answer = await until_closed(reader)
    dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_slow_upload_passes(there: ApiProcess) -> None:
    """Four times as slow as the limit is long, and faster than the least that is asked for."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"limit": 1,'
        until_then = time.monotonic() + 4 * SLOW_SECONDS
        while time.monotonic() < until_then:
            yield b" " * 2000
            await asyncio.sleep(0.1)
        yield b'"offset": 0}'

    async with httpx.AsyncClient(base_url=there.url, timeout=LIMIT) as client:
        headers = {"Content-Type": "application/json"}
        assert (await client.post("/threads/search", content=body(), headers=headers)).status_code == 200


async def test_streams_and_waits_outlast_the_limit(there: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=there.url, timeout=LIMIT) as client:
        run = (await client.post("/runs", json={"assistant_id": "steps", "on_completion": "keep"})).json()
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
        async with client.stream("GET", f"{path}/stream") as response, asyncio.timeout(LIMIT):
            began = time.monotonic()
            async for _ in response.aiter_raw():
                if time.monotonic() - began > 3 * SLOW_SECONDS:
                    break
            else:
                raise AssertionError("the stream was cut off")


async def test_many_connections_that_say_nothing_stop_nobody(there: ApiProcess) -> None:
    async with AsyncExitStack() as stack:
        writers = [(await asyncio.open_connection("127.0.0.1", there.port))[1] for _ in range(400)]
        for writer in writers:
            stack.callback(writer.close)
        async with httpx.AsyncClient(base_url=there.url, timeout=LIMIT) as client:
            assert (await client.get("/ok")).status_code == 200


# --- the protocols by themselves


class App:
    """Answers as it is asked; `hold`: it does not read bodies before this is set."""

    def __init__(self) -> None:
        self.hold = asyncio.Event()
        self.hold.set()
        self.begun = self.ended = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        try:
            if scope["path"] == "/refused":
                await WebSocket(scope, receive, send).send_denial_response(PlainTextResponse("later", 429))
            elif scope["type"] == "websocket":
                await self._flood(WebSocket(scope, receive, send))
            elif scope["type"] == "http":
                await self.hold.wait()
                await (await self._answer(Request(scope, receive)))(scope, receive, send)
        finally:
            self.ended += 1

    async def _answer(self, request: Request) -> Response:
        if request.url.path == "/leave":
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return Response()
        if request.url.path == "/large":
            return Response(b"x" * 30_000_000)
        return PlainTextResponse(str(len(await request.body())))

    async def _flood(self, websocket: WebSocket) -> None:
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            while True:
                await websocket.send_bytes(b"x" * 100_000)
                await asyncio.sleep(0)


@asynccontextmanager
async def serve_with_timeouts(app: App, timeouts: ClientTimeouts) -> AsyncIterator[int]:
    kinds = {"http": with_timeouts(BoundedHttp, timeouts), "ws": with_timeouts(BoundedSocket, timeouts)}
    async with serving(app, lifespan="off", **kinds) as port:
        yield port


async def test_a_client_whose_body_is_not_read_is_not_late() -> None:
    app = App()
    app.hold.clear()
    timeouts = ClientTimeouts(seconds=0.2)
    async with serve_with_timeouts(app, timeouts) as port, httpx.AsyncClient(timeout=LIMIT) as client:
        asking = asyncio.create_task(client.post(f"http://127.0.0.1:{port}/", content=b"x" * 5_000_000))
        await asyncio.sleep(5 * timeouts.seconds)  # the limit itself: nothing else tells that it was passed
        app.hold.set()
        assert (await asking).text == "5000000"


@pytest.mark.parametrize("path", ["/large", "/socket"])
async def test_who_does_not_read_is_cut_off(path: str) -> None:
    app = App()
    async with serve_with_timeouts(app, ClientTimeouts(seconds=0.3)) as port, asyncio.timeout(LIMIT):
        if path == "/large":
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            writer.write(b"GET /large HTTP/1.1\r\nHost: api\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        else:
            connection = await connect(f"ws://127.0.0.1:{port}{path}", proxy=None, compression=None, max_queue=1)
            connection.transport.pause_reading()
            writer = None
        await until(lambda: app.ended == 1)
        if writer is not None:
            writer.close()
        else:
            connection.transport.abort()


async def test_who_leaves_is_missed_whatever_it_has_sent_ahead(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    async with serve_with_timeouts(app, ClientTimeouts()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /leave HTTP/1.1\r\nHost: api\r\n\r\n" * 2)
        await until(lambda: app.begun == 1)
        writer.close()
        await until(lambda: app.ended == 1)
    assert not caplog.records


async def test_a_socket_that_is_refused_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with serve_with_timeouts(App(), ClientTimeouts()) as port:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/refused", proxy=None)
    assert (refused.value.response.status_code, refused.value.response.body) == (429, b"later")
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


async def test_who_reads_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "LEAST_BYTES_PER_SECOND", 100)
    app = App()
    async with serve_with_timeouts(app, ClientTimeouts(seconds=0.5)) as port, asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=100_000)
        writer.write(b"GET /large HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        size = 0
        while chunk := await reader.read(400_000):
            size += len(chunk)
            await asyncio.sleep(0.01)
        assert size > 30_000_000
        writer.close()


async def test_the_silent_one_that_came_first_makes_room() -> None:
    app, timeouts = App(), ClientTimeouts(seconds=LIMIT, most_silent=3)
    async with serve_with_timeouts(app, timeouts) as port:
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for reader, _ in pairs[:2]:
            assert await until_closed(reader) == b""
        async with httpx.AsyncClient(timeout=LIMIT) as client:
            assert (await client.post(f"http://127.0.0.1:{port}/", content=b"abc")).text == "3"
        await until(lambda: len(timeouts.silent) == 2)
        for _, writer in pairs:
            writer.close()
        await until(lambda: not timeouts.silent)


async def test_a_socket_is_not_awaited_as_a_request() -> None:
    timeouts = ClientTimeouts(seconds=0.2)
    async with (
        serve_with_timeouts(App(), timeouts) as port,
        asyncio.timeout(LIMIT),
        connect(f"ws://127.0.0.1:{port}/", proxy=None, compression=None) as connection,
    ):
        began = time.monotonic()
        while time.monotonic() - began < 5 * timeouts.seconds:
            assert await connection.recv()
    assert not timeouts.silent
