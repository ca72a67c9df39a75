"""Every `*.test.js` beside this file, against one `relayrun dev`."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from bench.servers import Server, relayrun_dev
from tests.compat.conftest import AGENT
from tests.support.waiting import until_it_is

FOLDER = Path(__file__).parent
TESTS = sorted(path.name for path in FOLDER.glob("*.test.js"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config) -> Iterator[Server]:
    npm = shutil.which("npm") or _missing(pytestconfig, "npm (Node.js 20.19 or newer)")
    # npm leaves this file when it has installed what the lock file says.
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < (FOLDER / "package-lock.json").stat().st_mtime:
        done = subprocess.run([npm, "ci"], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"npm ci:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    with relayrun_dev(2, AGENT) as running:
        yield running


@pytest.mark.parametrize("name", TESTS)
async def test_a_javascript_client(server: Server, name: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        await until_it_is(lambda: _has_graphs(http), seconds=90)
    node = await asyncio.create_subprocess_exec(
        *("node", "--test", "--test-reporter=spec", "--test-timeout=60000", name),
        cwd=FOLDER,
        env={**os.environ, "RELAYRUN_URL": server.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await node.communicate()
    assert node.returncode == 0, output.decode()[-6000:]


async def _has_graphs(http: httpx.AsyncClient) -> bool:
    return bool((await http.post("/assistants/search", json={})).json())


def _missing(config: pytest.Config, what: str) -> NoReturn:
    sentence = f"the JavaScript clients were NOT tested: there is no {what}"
    if os.environ.get("REQUIRE_NODE") == "1":
        pytest.fail(sentence, pytrace=False)
    stars = "*" * 80
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{stars}\n* SKIPPED: {sentence}\n{stars}", file=sys.stderr)
    pytest.skip(sentence)
