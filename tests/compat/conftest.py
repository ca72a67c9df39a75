"""Both servers, once for all scenarios."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bench.langgraph_dev import installed
from bench.processes import ServerStartError
from bench.servers import Server, langgraph_dev, relayrun_dev
from tests.support.skipping import skip_loudly

AGENT = Path(__file__).parent / "agent"


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[tuple[Server, Server]]:
    """`relayrun dev` and `langgraph dev` with the same graphs; loudly skipped where the second cannot be installed."""
    try:
        installed()
    except (ServerStartError, subprocess.CalledProcessError) as error:
        sentence = f"nothing was compared with langgraph dev: langgraph dev could not be installed ({error})"
        skip_loudly(pytestconfig, sentence, required="REQUIRE_ORACLE")
    with ExitStack() as stack:
        both = stack.enter_context(relayrun_dev(1, AGENT)), stack.enter_context(langgraph_dev(AGENT))
        for server in both:
            until_it_has_graphs(server)
        yield both


def until_it_has_graphs(server: Server) -> None:
    """A server answers before it has loaded its graphs."""
    until = time.monotonic() + 90
    while not httpx.post(f"{server.url}/assistants/search", json={}).json():
        assert time.monotonic() < until, f"{server.name} loads no graphs"
        time.sleep(0.1)
