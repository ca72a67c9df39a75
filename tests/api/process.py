"""The API as a process of its own, as `dev` and the chart start it, but for its imports."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx

from tests.support.forked import API, ForkedProcess
from tests.support.runner import free_port
from tests.support.waiting import eventually


@dataclass(frozen=True)
class ApiProcess:
    """A running one. `lifeline` is the write end of the pipe that it lives by."""

    port: int
    process: ForkedProcess
    lifeline: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def api_process(database_url: str, port: int | None = None, **settings: str) -> AsyncIterator[ApiProcess]:
    """An API that takes requests, by default from everybody; killed at the end."""
    port = port or free_port()
    said = {"database_url": database_url, "port": str(port), "auth": "none", **settings}
    read_end, write_end = os.pipe()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RELAYRUN_")},
        **{f"RELAYRUN_{name.upper()}": value for name, value in said.items()},
    }
    try:
        process = await ForkedProcess.start(API, environment, None, read_end)
    finally:
        os.close(read_end)
    api = ApiProcess(port, process, write_end)
    try:
        async with httpx.AsyncClient(base_url=api.url) as http:

            async def answers() -> bool:
                assert process.exit_code is None
                with suppress(httpx.TransportError):
                    return (await http.get("/readyz")).is_success
                return False

            await eventually(answers)
        yield api
    finally:
        with suppress(OSError):
            os.close(write_end)
        process.kill()
