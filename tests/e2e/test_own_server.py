"""Author code that calls its own server by LangGraph's SDK without an address, wherever it runs, and as whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.support.dev import Dev, relayrun_dev
from tests.support.runner import AGENTS
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loopback")


@pytest.fixture(scope="module")
async def own(folder: Path) -> AsyncIterator[Dev]:
    config = AGENTS / "loopback" / "langgraph.json"
    async with relayrun_dev(config=config, environment={"LOOPBACK_FOLDER": str(folder)}) as dev:
        yield dev


@pytest.fixture
async def alice(own: Dev) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=own.url, api_key=None, headers={"Authorization": "Bearer alice"}) as client:
        yield client


@pytest.fixture
async def bob(own: Dev) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=own.url, api_key=None, headers={"Authorization": "Bearer bob"}) as client:
        yield client


async def told(client: LangGraphClient, ask: str) -> Any:
    return (await client.runs.wait(None, "asks", input={"ask": ask}))["told"]


async def test_a_node_acts_as_its_runs_user(alice: LangGraphClient, bob: LangGraphClient, folder: Path) -> None:
    await bob.threads.create()
    before = len((folder / "auth.log").read_text().splitlines())
    assert await told(alice, "threads") == {"metadata": {"by": "node", "owner": "alice"}, "owners": ["alice"]}
    asked = (folder / "auth.log").read_text().splitlines()[before:]
    # Who it is was asked once, of the caller; what the node may, of the handlers.
    assert [line for line in asked if line.startswith("authenticate")] == ["authenticate alice"]
    assert {"threads create alice p", "threads search alice p"} <= set(asked)


async def test_a_run_that_a_node_starts_is_one_like_all_others(alice: LangGraphClient) -> None:
    values = await told(alice, "wait")
    assert (values["n"], values["told"]["user"]) == (21, "alice")
    assert (await told(alice, "stream"))[:3] == ["metadata", "values", "values"]
    assert [each["n"] for each in await told(alice, "remote")] == [21, 21]


async def test_a_sync_node_may_call_from_its_thread_and_from_loops_of_its_own(alice: LangGraphClient) -> None:
    found = await told(alice, "sync")
    assert found["metadata"] == {"by": "sync", "owner": "alice"}
    assert (found["values"]["n"], found["twice"]) == (21, [{"owner": "alice"}] * 2)


async def test_headers_of_the_author_change_nothing_about_who_calls(alice: LangGraphClient) -> None:
    assert await told(alice, "headers") == {"owner": "alice"}


async def test_the_credential_reaches_neither_graphs_nor_web_apps(alice: LangGraphClient) -> None:
    assert not any("loopback" in name for name in (await told(alice, "wait"))["told"]["headers"])
    seen = await told(alice, "route")
    assert (seen["user"], [name for name in seen["headers"] if "loopback" in name]) == ("alice", [])


async def test_a_web_app_and_its_startup_act_for_the_agent(own: Dev, alice: LangGraphClient) -> None:
    await alice.threads.create()
    async with httpx.AsyncClient(base_url=own.url, headers={"Authorization": "Bearer alice"}, timeout=60) as http:
        answer = await http.get("/mine")
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert seen["lifespan"] == {"assistant": "worker"}
    assert (seen["user"], seen["metadata"], seen["values"]["n"]) == ("alice", {"by": "route"}, 3)
    assert {"", "alice"} <= set(seen["owners"])


async def test_a_factory_may_call_too_and_knows_for_whom_it_is_asked(alice: LangGraphClient) -> None:
    assistant = (await alice.assistants.create("made"))["assistant_id"]
    drawn = await alice.assistants.get_graph(assistant)
    assert [node["id"] for node in drawn["nodes"]][1] == "for_alice_as_nobody"
    thread = (await alice.threads.create())["thread_id"]
    assert (await alice.runs.wait(thread, assistant, input={"n": 0}))["told"] == "for_alice_as_alice"
    await alice.threads.update_state(thread, {"n": 2}, as_node="for_alice_as_nobody")
    assert (await alice.threads.get_state(thread))["values"]["n"] == 2


async def test_a_thread_that_does_not_know_its_run_is_refused(alice: LangGraphClient) -> None:
    assert await told(alice, "loose") == "Who?"  # as the agent's own handler refuses whoever says nothing


async def test_what_outlives_its_run_may_nothing(alice: LangGraphClient, folder: Path) -> None:
    assert await told(alice, "later") == "started"
    log = folder / "auth.log"
    await until(lambda: "later " in log.read_text())
    line = next(line for line in log.read_text().splitlines() if line.startswith("later "))
    assert "no longer runs" in line
