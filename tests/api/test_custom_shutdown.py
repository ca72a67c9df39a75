"""An API process that is asked to go while agents' own web apps answer through it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.api.process import api_process
from tests.api.routed import routed
from tests.support.reading import client_of
from tests.support.runner import TOKEN

_SECONDS = 5


@pytest.mark.crash
async def test_streams_and_sockets_are_cut_off_and_answers_come_to_their_end(database_url: str, tmp_path: Path) -> None:
    async with (
        routed(database_url, tmp_path) as shop,
        api_process(database_url, runners_file=str(tmp_path / "runners.json"), runner_token=TOKEN) as going,
        client_of(going.url) as client,
        client.stream("GET", "/ticks") as ticks,
        connect(f"ws://127.0.0.1:{going.port}/echo", proxy=None) as socket,
    ):
        lines = ticks.aiter_lines()
        assert await anext(lines) == "data: 0"
        await socket.recv()
        waiting = asyncio.create_task(client.get("/waits"))
        await shop.until_noted("waits")

        going.process.terminate()
        async with asyncio.timeout(_SECONDS):
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in lines:
                    pass
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1012
            await shop.until_noted("socket ends")
            assert not waiting.done()
            (tmp_path / "go").touch()
            assert (await waiting).text == "went"
            assert await going.process.wait() == 0
