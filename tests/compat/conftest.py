"""Both servers, once for all scenarios."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from bench.processes import ServerStartError
from bench.servers import Server, install_langgraph_dev, langgraph_dev, relayrun_dev

AGENT = Path(__file__).parent / "agent"


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[tuple[Server, Server]]:
    """`relayrun dev` and `langgraph dev` with the same graphs; loudly skipped where the second cannot be installed."""
    try:
        install_langgraph_dev()
    except (ServerStartError, subprocess.CalledProcessError) as error:
        _missing(pytestconfig, f"langgraph dev could not be installed ({error})")
    with ExitStack() as stack:
        both = stack.enter_context(relayrun_dev(1, AGENT)), stack.enter_context(langgraph_dev(AGENT))
        for server in both:
            _until_it_has_graphs(server)
        yield both


def _until_it_has_graphs(server: Server) -> None:
    until = time.monotonic() + 60
    while not httpx.post(f"{server.url}/assistants/search", json={}).json():
        assert time.monotonic() < until, f"{server.name} loads no graphs"
        time.sleep(0.1)


def _missing(config: pytest.Config, why: str) -> NoReturn:
    sentence = f"nothing was compared with langgraph dev: {why}"
    if os.environ.get("REQUIRE_ORACLE") == "1":
        pytest.fail(sentence, pytrace=False)
    stars = "*" * 80
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{stars}\n* SKIPPED: {sentence}\n{stars}", file=sys.stderr)
    pytest.skip(sentence)
