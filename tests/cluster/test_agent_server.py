"""What the LangGraph Agent Server's API has beside threads and runs, in the cluster: its runs are AgentRuns too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.support.cluster import Cluster, Object, unique, wait_until
from tests.support.waiting import until

RECEIVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["content-length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass  # a line on stderr might come before what was printed
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=cluster.api_url, api_key=None) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def beaten(client: SyncLangGraphClient) -> Iterator[str]:
    """A thread with a cron, due within a minute: the other tests go on meanwhile."""
    thread = client.threads.create()["thread_id"]
    made: Any = client.crons.create_for_thread(thread, "all/quick", schedule="* * * * *", input={})
    yield thread
    client.crons.delete(made["cron_id"])


@pytest.fixture
def receiver(cluster: Cluster) -> Iterator[Object]:
    """A pod that prints what is posted to it."""
    name = unique("receiver")
    container = {
        "name": "receiver",
        "image": cluster.agent_image,
        "command": ["python", "-c", RECEIVER],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        yield cluster.get("pod", name)
    finally:
        cluster.kubectl("delete", "pod", name, "--wait=false")


def ended(client: SyncLangGraphClient, run: Any, seconds: float = 60) -> str:
    """How the run ended."""

    def status() -> str | None:
        told: str = client.runs.get(run["thread_id"], run["run_id"])["status"]
        return None if told in ("pending", "running") else told

    found: str = wait_until(status, f"run {run['run_id']} ends", seconds)
    return found


def test_a_later_run_s_agentrun_is_made_at_its_time(cluster: Cluster, client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    asked = datetime.now(UTC)
    run: Any = client.runs.create(thread, "all/quick", input={}, after_seconds=4)
    cluster.kubectl("delete", "pod", *(pod["metadata"]["name"] for pod in cluster.pods("api")), "--grace-period=0")
    cluster.parts_ready("api")
    made = wait_until(lambda: cluster.find("ar", f"run-{run['run_id']}"), "the run's AgentRun")
    due = datetime.fromisoformat(run["created_at"])  # of a delayed run, as in the Agent Server: when it starts
    assert due - asked >= timedelta(seconds=4)
    # Kubernetes tells whole seconds.
    assert datetime.fromisoformat(made["metadata"]["creationTimestamp"]) >= due.replace(microsecond=0)
    assert ended(client, run) == "success"


def test_a_batch_is_an_agentrun_each(cluster: Cluster, client: SyncLangGraphClient) -> None:
    slow = {"assistant_id": "all/slow", "input": {"count": 60, "step_seconds": 0.5}}
    runs: list[Any] = client.runs.create_batch([slow, slow, {"assistant_id": "all/quick", "input": {}}])  # type: ignore[list-item]
    names = [f"run-{run['run_id']}" for run in runs]
    for name in names[:2]:
        cluster.running(name)
    assert ended(client, runs[2]) == "success"
    for run in runs[:2]:
        client.runs.cancel_many(thread_id=run["thread_id"], run_ids=[run["run_id"]])
    assert [ended(client, run) for run in runs[:2]] == ["interrupted"] * 2
    wait_until(lambda: not [name for name in names[:2] if cluster.find("ar", name)], "their AgentRuns go")


def test_a_webhook_leaves_the_cluster_s_api(cluster: Cluster, client: SyncLangGraphClient, receiver: Object) -> None:
    address, name = receiver["status"]["podIP"], receiver["metadata"]["name"]
    thread = client.threads.create()["thread_id"]
    run: Any = client.runs.create(thread, "all/quick", input={}, webhook=f"http://{address}:8080/hook")
    told = json.loads(wait_until(lambda: cluster.kubectl("logs", name).splitlines(), "the webhook")[0])
    assert (told["run_id"], told["status"]) == (run["run_id"], "success")
    assert told["values"]["done"] == ["one", "two", "three"]


def test_a_question_over_the_event_protocol(cluster: Cluster) -> None:
    async def talk(transport: Any) -> Any:
        async with (
            get_client(url=cluster.api_url, api_key=None) as client,
            client.threads.stream(assistant_id="all/asks", transport=transport) as thread,
        ):
            await thread.run.start(input={})
            await until(lambda: thread.interrupted, seconds=30)
            await thread.run.respond("yes")
            return await thread.output

    for transport in ("sse", "websocket"):
        assert asyncio.run(asyncio.wait_for(talk(transport), 60))["done"] == ["answered yes"]


def test_the_store_is_reached_through_a_runner(client: SyncLangGraphClient) -> None:
    space = ["cluster", unique("memories")]
    client.store.put_item(space, "tea", {"kind": "green"})
    client.store.put_item(space, "coffee", {"kind": "black"})
    found = client.store.search_items(space, filter={"kind": "green"})["items"]
    assert [item["key"] for item in found] == ["tea"]
    client.store.delete_item(space, "tea")
    assert client.store.get_item(space, "coffee")["value"] == {"kind": "black"}
    assert [item["key"] for item in client.store.search_items(space)["items"]] == ["coffee"]


def test_a_thread_is_copied_and_edited(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, "all/quick", input={})
    copied: Any = client.threads.copy(thread)
    client.threads.update_state(copied["thread_id"], {"done": ["four"]}, as_node="three")
    assert client.threads.get_state(copied["thread_id"])["values"]["done"] == ["one", "two", "three", "four"]  # type: ignore[call-overload]
    assert client.threads.get_state(thread)["values"]["done"] == ["one", "two", "three"]  # type: ignore[call-overload]


def test_a_cron_fires_once_a_minute_with_two_replicas(
    cluster: Cluster, client: SyncLangGraphClient, beaten: str
) -> None:
    assert cluster.get("deploy", "relayrun-api")["spec"]["replicas"] == 2
    runs: list[Any] = wait_until(lambda: client.runs.list(beaten), "the cron's run", 75)
    assert [ended(client, run) for run in runs] == ["success"] * len(runs)
    minutes = [run["created_at"][:16] for run in runs]
    assert len(set(minutes)) == len(minutes)
