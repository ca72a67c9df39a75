"""Several Agents with one graph's name: who is meant by the name, and that what was made stays with its Agent."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from relayrun_api.kube.dispatch import KubeDispatcher
from relayrun_api.services import Services
from relayrun_core.db.crons import get_cron
from relayrun_core.db.runs import create_run, get_run
from relayrun_core.graph_names import Claimant
from relayrun_core.ids import default_assistant_id, new_run_id
from relayrun_core.kinds.names import api_run
from relayrun_core.runs import NewRun, RunSpec
from tests.api.cluster import Cluster
from tests.api.conftest import Api
from tests.api.play import STEPS, register
from tests.support.waiting import eventually

PEERS = ("default", "second", "default", "second")
OLDER, NEWER = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


async def look_again(api: Api) -> None:
    """The API reads Agents and graphs anew, as it does every few seconds."""
    services: Services = api.app.state.services
    dispatcher = services.dispatcher
    assert isinstance(dispatcher, KubeDispatcher)
    await dispatcher._agents._look(0)
    services.catalog._read_at = float("-inf")


def agent(cluster: Cluster, name: str, created: str, **spec: Any) -> dict[str, Any]:
    like = cluster.agents[0]
    metadata = {**like["metadata"], "name": name, "creationTimestamp": created}
    return {**like, "metadata": metadata, "spec": {**like["spec"], **spec}}


@pytest.fixture
async def api(clustered: Api, cluster: Cluster) -> Api:
    """`default`, the older one, and `second` offer the graph `steps`."""
    cluster.set_agents(agent(cluster, "second", NEWER), agent(cluster, "default", OLDER))
    await register(clustered.database, "steps", STEPS, "second")
    await look_again(clustered)
    return clustered


async def found_in(cluster: Cluster, run_id: str) -> dict[str, Any] | None:
    return cluster.runs.get(api_run(UUID(run_id)))


async def agent_of(api: Api, run: Any) -> str:
    found = await get_run(api.database, UUID(run["run_id"]))
    assert found is not None
    return found.agent


async def test_the_older_agent_has_the_plain_name_and_the_newer_one_its_own_in_front(
    api: Api, cluster: Cluster
) -> None:
    client = api.sdk.assistants
    names = {found["graph_id"]: found["assistant_id"] for found in await client.search(graph_id="steps", limit=100)}
    assert names == {"steps": str(default_assistant_id("steps"))}
    theirs = str(default_assistant_id("second/steps"))
    assert {found["assistant_id"] for found in await client.search(graph_id="second/steps")} == {theirs}
    assert [(await client.get(name))["assistant_id"] for name in ("second/steps", theirs)] == [theirs] * 2
    assert (await client.get_schemas("second/steps"))["graph_id"] == "second/steps"
    assert (await client.get("default/steps"))["assistant_id"] == names["steps"]
    for name in ("steps", "default/steps", names["steps"]):
        assert await agent_of(api, await api.sdk.runs.create(None, name, input={})) == "default"
    for name in ("second/steps", theirs):
        assert await agent_of(api, await api.sdk.runs.create(None, name, input={})) == "second"

    cluster.delete_agent("default")
    await look_again(api)
    found = {entry["graph_id"]: entry["assistant_id"] for entry in await client.search(graph_id="steps")}
    assert found == {"steps": names["steps"]}, "ids are made of the name, whoever has it"
    for name in ("steps", "second/steps", theirs, names["steps"]):
        assert await agent_of(api, await api.sdk.runs.create(None, name, input={})) == "second"
    with pytest.raises(UnprocessableEntityError, match="default/steps"):
        await api.sdk.runs.create(None, "default/steps", input={})


async def test_what_was_made_stays_with_its_agent_when_the_name_moves(api: Api, cluster: Cluster) -> None:
    made = await api.sdk.assistants.create("steps")
    cron = await api.sdk.crons.create("steps", schedule="@yearly", input={})
    thread = (await api.sdk.threads.create())["thread_id"]
    await api.sdk.runs.create(thread, "steps", input={})
    await api.sdk.runs.create(thread, "second/steps", input={})
    talk = (await api.sdk.threads.create())["thread_id"]
    await api.sdk.runs.create(talk, "steps", input={})

    # `default` was made again: the other one is the older one now.
    cluster.set_agents(agent(cluster, "default", "2026-03-01T00:00:00Z"), agent(cluster, "second", NEWER))
    await look_again(api)
    assert await agent_of(api, await api.sdk.runs.create(None, "steps", input={})) == "second"
    assert await agent_of(api, await api.sdk.runs.create(None, made["assistant_id"], input={})) == "default"
    for _ in range(2):
        assert await agent_of(api, await api.sdk.runs.create(talk, "steps", input={})) == "default"
    assert await agent_of(api, await api.sdk.runs.create(talk, "second/steps", input={})) == "second"
    services: Services = api.app.state.services
    (kept,) = await api.sdk.crons.search(assistant_id="steps")
    assert kept["cron_id"] == cron["cron_id"]
    row = await get_cron(api.database, UUID(kept["cron_id"]))
    assert row is not None
    assert (await services.crons.run_of(row)).agent == "default"


async def test_while_nobody_knows_who_is_the_oldest_only_full_names_are_good(api: Api) -> None:
    services: Services = api.app.state.services

    async def unknown(_: Any) -> dict[str, Claimant] | None:
        return None

    services.catalog._claimants = unknown
    await look_again(api)
    answer = await api.http.post("/runs", json={"assistant_id": "steps", "input": {}})
    assert (answer.status_code, "agent/graph" in answer.text) == (503, True)
    assert await agent_of(api, await api.sdk.runs.create(None, "second/steps", input={})) == "second"


def weighed(cluster: Cluster, default: int, second: int) -> None:
    cluster.set_agents(
        agent(cluster, "default", OLDER, traffic={"group": "steps", "weight": default}),
        agent(cluster, "second", NEWER, traffic={"group": "steps", "weight": second}),
    )


async def test_agents_of_a_group_share_a_name_by_weight_and_threads_stay(api: Api, cluster: Cluster) -> None:
    weighed(cluster, 0, 100)
    await look_again(api)
    thread = (await api.sdk.threads.create())["thread_id"]
    assert await agent_of(api, await api.sdk.runs.create(thread, "steps", input={})) == "second"
    made = await api.sdk.assistants.create("steps")
    fixed = await api.sdk.assistants.create("second/steps")
    found = await api.sdk.assistants.search(graph_id="steps")
    assert [entry["assistant_id"] for entry in found] == [made["assistant_id"], str(default_assistant_id("steps"))]
    found = await api.sdk.assistants.search(graph_id="second/steps")
    ids = [fixed["assistant_id"], str(default_assistant_id("second/steps"))]
    assert [entry["assistant_id"] for entry in found] == ids

    weighed(cluster, 100, 0)
    await look_again(api)
    for name in ("steps", str(default_assistant_id("steps")), made["assistant_id"], "default/steps"):
        assert await agent_of(api, await api.sdk.runs.create(None, name, input={})) == "default"
    for name in ("second/steps", ids[1], fixed["assistant_id"]):
        assert await agent_of(api, await api.sdk.runs.create(None, name, input={})) == "second"
    for name in ("steps", made["assistant_id"]):
        run = await api.sdk.runs.create(thread, name, input={})
        assert (await agent_of(api, run), run["metadata"]["graph_id"]) == ("second", "steps"), "it stays, at weight 0"
    made_of = await eventually(lambda: found_in(cluster, run["run_id"]))
    assert made_of["spec"]["agentRef"] == {"name": "second"}

    weighed(cluster, 0, 0)
    await look_again(api)
    answer = await api.http.post("/runs", json={"assistant_id": "steps", "input": {}})
    assert (answer.status_code, "weight 0" in answer.text) == (503, True)
    assert await agent_of(api, await api.sdk.runs.create(thread, "steps", input={})) == "second"

    # The canary is done: what the group had is its last Agent's.
    cluster.set_agents(agent(cluster, "default", OLDER, traffic={"group": "steps"}))
    await look_again(api)
    for name in ("steps", made["assistant_id"]):
        assert await agent_of(api, await api.sdk.runs.create(thread, name, input={})) == "default"


async def test_the_weights_decide_for_each_run_without_a_thread(api: Api, cluster: Cluster) -> None:
    weighed(cluster, 50, 50)
    await look_again(api)
    runs = await api.sdk.runs.create_batch([{"assistant_id": "steps", "input": {}} for _ in range(40)])
    assert {await agent_of(api, run) for run in runs} == {"default", "second"}
    key = {"Idempotency-Key": "once"}
    body = {"assistant_id": "steps", "input": {}}
    again = [(await api.http.post("/runs", json=body, headers=key)).json()["run_id"] for _ in range(8)]
    assert len(set(again)) == 1, "a repeated request is one run, at one Agent"


async def test_the_first_run_of_a_thread_decides_in_its_transaction(api: Api) -> None:
    """Two replicas that know of other weights draw otherwise: the second one's run goes where the first one's did."""
    thread = uuid4()
    runs = [NewRun(new_run_id(), thread, name, "steps", RunSpec(), peers=("default", "second")) for name in PEERS]
    await asyncio.gather(*(create_run(api.database, run) for run in runs))
    for run in runs:
        await create_run(api.database, run)  # told twice
    rows = [await get_run(api.database, run.run_id) for run in runs]
    assert len({row.agent for row in rows if row}) == 1
    another = NewRun(new_run_id(), thread, "third", "steps", RunSpec(), peers=("third",))
    await create_run(api.database, another)
    row = await get_run(api.database, another.run_id)
    assert row is not None
    assert row.agent == "third", "a thread leaves an Agent that is not of the group any more"
