"""Every `*.test.js` beside this file, against one `relayrun dev`."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.servers import Server, relayrun_dev
from tests.compat.conftest import AGENT, until_it_has_graphs
from tests.support.cutting import CuttingProxy
from tests.support.skipping import skip_loudly

FOLDER = Path(__file__).parent
RECONNECTS = "reconnect.test.js"
TESTS = sorted(path.name for path in FOLDER.glob("*.test.js") if path.name != RECONNECTS)
READERS = 20
CUTS_EACH = 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config) -> Iterator[Server]:
    npm = shutil.which("npm")
    if npm is None:
        sentence = "the JavaScript clients were NOT tested: there is no npm (Node.js 20.19 or newer)"
        skip_loudly(pytestconfig, sentence, required="REQUIRE_NODE")
    # npm leaves this file when it has installed what the lock file says.
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < (FOLDER / "package-lock.json").stat().st_mtime:
        done = subprocess.run([npm, "ci"], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"npm ci:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    with relayrun_dev(2, AGENT) as running:
        until_it_has_graphs(running)
        yield running


@pytest.mark.parametrize("name", TESTS)
async def test_a_javascript_client(server: Server, name: str) -> None:
    await _passes(server, name)


async def test_a_hundred_cuts_lose_and_repeat_nothing(server: Server) -> None:
    seed = random.randrange(1_000_000)
    print(f"the cuts' seed is {seed}")
    async with AsyncExitStack() as stack:
        port = urlsplit(server.url).port or 0
        proxies = [
            await stack.enter_async_context(CuttingProxy(port, seed=seed + nth, cuts=CUTS_EACH).open())
            for nth in range(READERS)
        ]
        await _passes(server, RECONNECTS, RELAYRUN_PROXIES=",".join(proxy.url for proxy in proxies))
    cuts = sum((proxy.done for proxy in proxies), Counter[str]())
    print(dict(cuts))
    assert cuts.total() >= 100
    assert len(cuts) == 8


async def _passes(server: Server, name: str, **environment: str) -> None:
    """Run one file under Node."""
    node = await asyncio.create_subprocess_exec(
        *("node", "--test", "--test-reporter=spec", "--test-timeout=60000", name),
        cwd=FOLDER,
        env={**os.environ, "RELAYRUN_URL": server.url, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await node.communicate()
    assert node.returncode == 0, output.decode()[-6000:]
