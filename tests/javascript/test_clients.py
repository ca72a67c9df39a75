"""Every `*.test.js` beside this file, against one `relayrun dev`."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.servers import Server, relayrun_dev
from tests.compat.conftest import AGENT, until_it_has_graphs
from tests.support.cutting import CuttingProxy
from tests.support.npm import installed

FOLDER = Path(__file__).parent
RECONNECTS = "reconnect.test.js"
TESTS = sorted(path.name for path in FOLDER.glob("*.test.js") if path.name != RECONNECTS)
READERS = 20
SOCKET_READERS = 5
CUTS_EACH = 6
# Cut off before it is subscribed again, the SDK gives up without a word: it does not come back, and nothing fails.
SUBSCRIBED = b'"custom"'

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config) -> Iterator[Server]:
    installed(pytestconfig, FOLDER, "the JavaScript clients were", required="REQUIRE_NODE")
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
        proxies = [CuttingProxy(port, seed=seed + nth, cuts=CUTS_EACH) for nth in range(READERS)]
        sockets = [
            CuttingProxy(port, seed=seed - nth, cuts=CUTS_EACH, behind=SUBSCRIBED) for nth in range(SOCKET_READERS)
        ]
        for proxy in (*proxies, *sockets):
            await stack.enter_async_context(proxy.open())
        await _passes(
            server,
            RECONNECTS,
            RELAYRUN_PROXIES=",".join(proxy.url for proxy in proxies),
            RELAYRUN_SOCKET_PROXIES=",".join(proxy.url for proxy in sockets),
        )
    cuts, of_sockets = (sum((proxy.done for proxy in some), Counter[str]()) for some in (proxies, sockets))
    print(dict(cuts), dict(of_sockets))
    assert cuts.total() >= 100
    assert len(cuts) == 8
    assert of_sockets.total() >= 20
    assert {kind.partition(",")[0] for kind in of_sockets} == {"between", "within", "silence"}


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
