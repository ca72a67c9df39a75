"""The official TypeScript client of the Model Context Protocol, while what it calls is killed."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx
import orjson
import pytest

from tests.e2e.test_dev_crashes import kill_at_once
from tests.javascript.test_clients import FOLDER
from tests.support.dev import Dev
from tests.support.npm import installed

TICKS = 20


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_client_has_the_end_though_runners_and_api_are_killed(pytestconfig: pytest.Config, dev: Dev) -> None:
    installed(pytestconfig, FOLDER, "the TypeScript client of MCP was", required="REQUIRE_NODE")
    node = await asyncio.create_subprocess_exec(
        *("node", "mcp_call.js", "ticks", orjson.dumps({"upto": TICKS, "pause": 0.1}).decode()),
        cwd=FOLDER,
        env={**os.environ, "RELAYRUN_URL": dev.url},
        stdout=asyncio.subprocess.PIPE,
    )
    assert node.stdout is not None
    told: list[dict[str, Any]] = []
    try:
        async for line in node.stdout:
            told.append(orjson.loads(line))
            if len(told) == 8:
                kill_at_once(dev.running("relayrun_runner"))
            if len(told) == 16:
                kill_at_once(dev.running("relayrun_api"))
        assert await node.wait() == 0
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
    *progress, end = told
    result = end["result"]
    assert not result["isError"]
    assert [one["progress"] for one in progress] == [*range(1, len(progress) + 1)]
    assert [one["message"] for one in progress].count("tick") == TICKS
    async with httpx.AsyncClient(base_url=dev.url, timeout=60) as http:
        runs = (await http.get(f"/threads/{result['_meta']['relayrun/thread_id']}/runs")).raise_for_status().json()
    assert [run["status"] for run in runs] == ["success"]
