"""MCP and A2A in the cluster, by their official clients: a call goes on whatever pods are lost."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from a2a.types import GetTaskRequest
from google.protobuf.json_format import MessageToDict
from mcp import Client

from tests.support.a2a import Heard, a2a_client, follow, message
from tests.support.cluster import Cluster
from tests.support.waiting import until

STEPS = 20
DONE = [str(step) for step in range(STEPS)]
LONG = {"count": STEPS, "step_seconds": 0.4}


def lose_pods(cluster: Cluster) -> None:
    """Delete by force every runner of the Agent, and every pod of the API: one after the other, as a drain does."""
    runners = [pod["metadata"]["name"] for pod in cluster.runners("all")]
    cluster.kubectl("delete", "pod", *runners, "--force", "--grace-period=0", "--ignore-not-found")
    for pod in cluster.pods("api"):
        cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
        cluster.parts_ready("api")


async def test_a_task_of_a2a_goes_on(cluster: Cluster) -> None:
    told = Heard()
    follower = asyncio.create_task(follow(cluster.api_url, "all/slow", "1.0", message(LONG), told))
    await until(lambda: "working" in told.states, seconds=60)
    await asyncio.to_thread(lose_pods, cluster)
    async with asyncio.timeout(240):
        await follower
    async with a2a_client(cluster.api_url, "all/slow") as client:
        task = await client.get_task(GetTaskRequest(id=told.task_id))
    [artifact] = task.artifacts
    assert MessageToDict(artifact.parts[0].data)["done"] == DONE


async def test_a_call_of_mcp_goes_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # By itself it comes back twice, five seconds later each: a loaded machine may need longer.
    monkeypatch.setattr("mcp.client.streamable_http.MAX_RECONNECTION_ATTEMPTS", 30)
    began = asyncio.Event()
    told: list[float] = []

    async def on_progress(progress: float, _: float | None, message: str | None) -> None:
        told.append(progress)
        began.set()

    async with Client(f"{cluster.api_url}/mcp", mode="legacy") as client:
        [slow] = [tool.name for tool in (await client.list_tools()).tools if tool.name.endswith("slow")]
        calling = asyncio.create_task(client.call_tool(slow, LONG, progress_callback=on_progress))
        await asyncio.wait_for(began.wait(), 60)
        await asyncio.to_thread(lose_pods, cluster)
        async with asyncio.timeout(240):
            result = await calling
    assert not result.is_error
    assert result.structured_content is not None
    assert result.structured_content["done"] == DONE
    # Where a second connection breaks too, this client asks for what is behind the first one's last event again:
    # it may hear a step twice, but none is left out.
    assert all(later <= before + 1 for before, later in pairwise(told))
    assert sorted({*told}) == [*range(1, len({*told}) + 1)]
