"""Asking runners: those that are gone, and those that take the question and never answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpcore
import httpx
import pytest
import uvloop
from httpcore import AsyncNetworkStream
from httpcore._backends.auto import AutoBackend

from relayrun_api.http.errors import RunnersAway
from relayrun_api.http.shares import Shares
from relayrun_api.runners.client import Pools, RunnerEntry, Runners
from relayrun_api.runners.transport import RunnerTransport
from relayrun_api.settings import ApiSettings
from relayrun_core.rotating import RotatingSecret
from tests.support.runner import free_port
from tests.support.streams import serving_streams


@asynccontextmanager
async def runner(answer: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """One that answers this, or nothing at all; its URL, and the first lines of what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head.partition(b"\r\n")[0])
        if answer is not None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
        with suppress(ConnectionError):
            await reader.read()  # until the other side has enough
        writer.close()

    async with serving_streams(serve) as port:
        yield f"http://127.0.0.1:{port}", asked


class Listed:
    """Runners in an order."""

    def __init__(self, *urls: str) -> None:
        self._urls = urls

    async def able(self, agent: str, graph: str) -> Sequence[RunnerEntry]:
        return [RunnerEntry(url, url, agent, (graph,)) for url in self._urls]

    def pools(self) -> Pools:
        return Pools(len(self._urls), len(self._urls))

    def pool(self, agent: str) -> None:
        """Nothing more is known."""

    def agents(self) -> None:
        """Nor which there are."""


@pytest.mark.parametrize(
    ("runners", "outcome", "asked"),
    [
        ("answers", b"{}", [1]),
        ("gone answers", b"{}", [1]),
        ("silent answers", b"{}", [1, 1]),
        ("silent gone answers", b"{}", [1, 1]),
        ("silent", "in time", [1]),
        ("gone silent", "in time", [1]),
        ("silent silent answers", "in time", [1, 1, 0]),
        ("gone gone", "is available", []),
        ("", "is available", []),
    ],
)
async def test_who_is_gone_is_passed_over_and_who_is_silent_once(
    runners: str, outcome: bytes | str, asked: list[int]
) -> None:
    async with AsyncExitStack() as stack:
        urls, seen = [], []
        for kind in runners.split():
            if kind == "gone":
                urls.append(f"http://127.0.0.1:{free_port()}")
                continue
            url, questions = await stack.enter_async_context(runner(b"{}" if kind == "answers" else None))
            urls.append(url)
            seen.append(questions)
        timeout = httpx.Timeout(0.3, connect=5)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=timeout, trust_env=False, verify=False))
        asking = Runners(Listed(*urls), client, RotatingSecret("secret"), Shares(ApiSettings(auth="none"))).ask(
            "default", "steps", "GET", "/x"
        )
        if isinstance(outcome, bytes):
            assert await asking == outcome
        else:
            with pytest.raises(RunnersAway, match=outcome):
                await asking
        await client.aclose()
        assert [len(questions) for questions in seen] == asked


class ResetMeanwhile(AutoBackend):
    """Opens connections that are reset by the time that they are used."""

    async def connect_tcp(self, *given: Any, **named: Any) -> AsyncNetworkStream:
        stream: Any = await super().connect_tcp(*given, **named)
        stream._stream._transport.abort()
        await stream._stream._protocol.read_event.wait()  # that it is lost
        return stream  # type: ignore[no-any-return]


def test_a_runner_that_goes_while_a_connection_opens_is_one_that_is_gone() -> None:
    async def ask() -> None:
        async with runner(b"{}") as (url, asked), RunnerTransport(verify=False) as transport:
            transport._pool = httpcore.AsyncConnectionPool(network_backend=ResetMeanwhile())
            with pytest.raises(httpx.ConnectError, match="reset while it was opened"):
                await transport.handle_async_request(httpx.Request("GET", url))
            assert asked == []

    uvloop.run(ask())  # as the API
