"""Every scenario on both servers: what differs is known, and has a reason."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from bench.servers import Server
from tests.compat.comparing import differences
from tests.compat.kept import KEPT, Kept, table
from tests.compat.recording import Exchange, Recorder
from tests.compat.scenarios import (
    assistants,
    cancels,
    factories,
    oddities,
    others,
    outcomes,
    refusals,
    requests,
    runs,
    streams,
    studio,
    threads,
    values,
)

Scenario = Callable[[Recorder], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {
    f"{module.__name__.rpartition('.')[2]}.{name}": scenario
    for module in (
        *(assistants, factories, threads, runs, cancels, requests, streams, refusals),
        *(studio, oddities, others, outcomes, values),
    )
    for name, scenario in vars(module).items()
    if inspect.iscoroutinefunction(scenario) and not name.startswith("_")
}

_used: set[Kept] = set()
_compared: set[str] = set()

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def recording(server: Server, scenario: Scenario) -> list[Exchange]:
    async with httpx.AsyncClient(base_url=server.url, timeout=90) as http:
        recorder = Recorder(http)
        await scenario(recorder)
        return recorder.exchanges


@pytest.mark.parametrize("name", SCENARIOS)
async def test_both_servers_answer_the_same(servers: tuple[Server, Server], name: str) -> None:
    ours, theirs = await asyncio.gather(*(recording(server, SCENARIOS[name]) for server in servers))
    _compared.add(name)
    unexplained = []
    for difference in differences(ours, theirs):
        reason = next((kept for kept in KEPT if kept.covers(name, difference)), None)
        if reason is None:
            unexplained.append(f"{name}: {difference}")
        else:
            _used.add(reason)
    assert not unexplained, "\n" + "\n".join(unexplained)


def test_each_reason_is_still_needed() -> None:
    if _compared != set(SCENARIOS):
        pytest.skip("only some scenarios were compared")
    assert not [kept for kept in KEPT if kept not in _used]


def test_the_page_for_those_who_come_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "migrate.md").read_text()
    assert table() in page, f"docs/how-to/migrate.md needs this table:\n{table()}"
