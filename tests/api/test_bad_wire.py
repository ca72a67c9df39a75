"""What is not HTTP, or more of it than anybody needs, sent to a real API process: it is refused with a reason where
there can be one, the connection is closed, and the process keeps neither memory nor the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import orjson
import psutil
import pytest

from relayrun_api.http.uvicorn_protocol import MAX_HEAD_BYTES, MAX_PIPELINED
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from tests.api.play import STEPS, register
from tests.api.process import ApiProcess, api_process
from tests.support.postgres import fresh_database

_SECONDS = 60
_MOST_BYTES = 40_000_000
_GET = b"GET /ok HTTP/1.1\r\nHost: api\r\n"
_POST = b"POST /threads/search HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"

#: Bytes that are no request.
NOT_HTTP: dict[str, bytes] = {
    "words": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method of its own": b"STEAL /ok HTTP/1.1\r\nHost: api\r\n\r\n",
    "another version": b"GET /ok HTTP/9.9\r\n\r\n",
    "a path that is not ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: api\r\n\r\n",
    "a header without a colon": _GET + b"nonsense\r\n\r\n",
    "a header with a space before the colon": _GET + b"X : y\r\n\r\n",
    "a header with NUL": _GET + b"X: \0\r\n\r\n",
    "a header over two lines": _GET + b"X: y\r\n z\r\n\r\n",
    "a length that is none": _POST + b"Content-Length: many\r\n\r\n{}",
    "a length below zero": _POST + b"Content-Length: -1\r\n\r\n{}",
    "a length beyond bounds": _POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "two lengths": _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": _POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks that come last but one": _POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}

#: How requests begin, and what can then come without end.
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "a path": (b"GET /", b"x" * 10_000),
    "a header": (_GET + b"X: ", b"x" * 10_000),
    "headers": (_GET, b"X: y\r\n" * 1_000),
    "a chunk's extension": (_CHUNKED + b"2;x=", b"x" * 10_000),
    "a trailer": (_CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"x" * 10_000),
    "trailers": (_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 1_000),
    "requests ahead": (b"", (_GET.replace(b"/ok", b"/readyz") + b"\r\n") * 100),
    "requests ahead of a stream's end": (
        _POST.replace(b"threads/search", b"runs/stream") + b'Content-Length: 25\r\n\r\n{"assistant_id": "steps"}',
        (_GET + b"\r\n") * 100,
    ),
}


@pytest.fixture(scope="module")
async def there(postgres: EmbeddedPostgres) -> AsyncIterator[ApiProcess]:
    async with fresh_database(postgres) as url, Database.open(url, role="runner") as database:
        await register(database, "steps", STEPS)
        async with api_process(url) as api:
            yield api


async def connected(api: ApiProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", api.port)


async def send(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send the piece over and over. Raises ConnectionError as soon as the other side does not want it."""
    for _ in range(_MOST_BYTES // len(piece)):
        writer.write(piece)
        await writer.drain()


async def check_lives(api: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
        assert (await client.post("/threads/search", json={})).status_code == 200


def check_problem(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json" in head
    problem = orjson.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"].endswith(".")


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_http_is_refused_and_the_connection_closed(there: ApiProcess, sent: bytes) -> None:
    reader, writer = await connected(there)
    writer.write(sent)
    async with asyncio.timeout(_SECONDS):
        check_problem(await reader.read(), 400, "not_http")
    writer.close()
    await check_lives(there)


async def test_a_head_that_is_too_large_is_refused_with_the_reason(there: ApiProcess) -> None:
    reader, writer = await connected(there)
    writer.write(_GET + b"X: " + b"x" * MAX_HEAD_BYTES)
    async with asyncio.timeout(_SECONDS):
        check_problem(await reader.read(), 431, "head_too_large")
    writer.close()


@pytest.mark.parametrize(("beginning", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_what_comes_without_end_is_cut_off_and_costs_nothing(
    there: ApiProcess, beginning: bytes, more: bytes
) -> None:
    process = psutil.Process(there.process.pid)
    memory = process.memory_info().rss
    _, writer = await connected(there)
    writer.write(beginning)
    async with asyncio.timeout(_SECONDS):
        with pytest.raises(ConnectionError):
            await send(writer, more)
    assert process.memory_info().rss - memory < 15_000_000
    writer.close()
    await check_lives(there)


async def test_a_few_requests_ahead_are_answered_in_order(there: ApiProcess) -> None:
    reader, writer = await connected(there)
    paths = [b"/ok", b"/nothing"] * (MAX_PIPELINED // 2)
    writer.write(b"".join(b"GET %s HTTP/1.1\r\nHost: api\r\n\r\n" % path for path in paths))
    writer.write(b"GET /ok HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(_SECONDS):
        answers = (await reader.read()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"404"] * (MAX_PIPELINED // 2) + [b"200"]
    writer.close()


async def test_requests_beside_a_bad_one_are_answered(there: ApiProcess) -> None:
    """A body that was refused unread is passed over, however it was framed."""
    big = b"x" * 11_000_000
    reader, writer = await connected(there)
    writer.write(_POST + b"Content-Length: %d\r\n\r\n" % len(big) + big)
    writer.write(_CHUNKED + b"%x\r\n" % len(big) + big + b"\r\n0\r\n\r\n")
    writer.write(_GET + b"Connection: close\r\n\r\n")
    async with asyncio.timeout(_SECONDS):
        answers = (await reader.read()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"413", b"413", b"200"]
    writer.close()


async def test_http_2_is_not_taken_up(there: ApiProcess) -> None:
    """As RFC 9113 has it for servers that do not know it: the request is answered as it came."""
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": ""}
    async with httpx.AsyncClient(base_url=there.url, timeout=60) as client:
        assert (await client.get("/ok", headers=upgrade)).json() == {"ok": True, "services": {}}
