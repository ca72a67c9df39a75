"""The API in a cluster: runs become AgentRuns, and the reconciler repairs what does not agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.requests import Request

from relayrun_api.kube.agents import AgentDirectory
from relayrun_api.kube.client import Kube
from relayrun_api.kube.dispatch import KubeDispatcher
from relayrun_api.kube.reconciler import Reconciler
from relayrun_core.database import Database
from relayrun_core.db.runs import create_run, request_cancel
from relayrun_core.ids import new_run_id
from relayrun_core.kinds.names import api_run
from relayrun_core.runs import NewRun, ObjectRef, Run, RunSpec
from relayrun_core.states import CancelAction, Reason, RunStatus
from tests.api.cluster import NAMESPACE, Cluster
from tests.api.conftest import Api
from tests.support.runs import accept, claimed, reread
from tests.support.waiting import eventually

QUOTA = (403, 'agentruns "x" is forbidden: exceeded quota: runs, requested: 1, used: 2, limited: 2')
NOW = "UPDATE runs SET look_after = now(), cancel_requested_at = cancel_requested_at - interval '3 seconds'"


@dataclass
class There:
    """One replica's reconciler, a database and the API server."""

    api: Cluster
    database: Database
    dispatcher: KubeDispatcher
    reconciler: Reconciler

    async def look(self) -> None:
        """The reconciler sees to all unfinished runs."""
        await self.database.execute(NOW)
        await self.reconciler.once()

    async def dispatched(self, **spec: Any) -> Run:
        """A run whose AgentRun was made."""
        run = await accept(self.database, **spec)
        await self.dispatcher.create(run)
        return run


@pytest.fixture
async def there(cluster: Cluster, database: Database) -> AsyncIterator[There]:
    async with Kube.open() as kube:
        agents = AgentDirectory(kube, [NAMESPACE])
        async with KubeDispatcher.open(kube, agents, database) as dispatcher:
            yield There(cluster, database, dispatcher, Reconciler(database, kube, agents, dispatcher))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url, role="api") as database:
        yield database


@pytest.fixture
def api(clustered: Api) -> Api:
    return clustered


async def test_a_run_becomes_an_agentrun_without_its_payload(api: Api, cluster: Cluster) -> None:
    thread = await api.sdk.threads.create()
    run = await api.sdk.runs.create(thread["thread_id"], "steps", input={"secret": "of a user"})
    made = await eventually(lambda: _found(cluster, run["run_id"]))
    assert made["spec"] == {
        "agentRef": {"name": "default"},
        "graph": "steps",
        "thread": thread["thread_id"],
        "runId": run["run_id"],
        "startingDeadlineSeconds": 86400,
        "activeDeadlineSeconds": 77,
        "backoffLimit": 5,
        "multitaskStrategy": "Enqueue",
        "ttlSecondsAfterFinished": 30,
    }
    assert made["metadata"]["annotations"] == {"velero.io/exclude-from-backup": "true"}
    spec = (await reread(api.database, UUID(run["run_id"]))).spec
    assert (spec.durability, spec.active_deadline_seconds, spec.backoff_limit) == ("async", 77, 5)


async def test_a_cancel_deletes_the_agentrun(api: Api, cluster: Cluster) -> None:
    thread = await api.sdk.threads.create()
    run = await api.sdk.runs.create(thread["thread_id"], "steps", input={})
    await eventually(lambda: _found(cluster, run["run_id"]))
    await claimed(api.database, await reread(api.database, UUID(run["run_id"])))
    await api.sdk.runs.cancel(thread["thread_id"], run["run_id"])
    await eventually(lambda: _gone(cluster, run["run_id"]))


async def test_a_run_that_displaces_another_deletes_its_agentrun(api: Api, cluster: Cluster) -> None:
    thread = await api.sdk.threads.create()
    first = await api.sdk.runs.create(thread["thread_id"], "steps", input={})
    await eventually(lambda: _found(cluster, first["run_id"]))
    await claimed(api.database, await reread(api.database, UUID(first["run_id"])))
    await api.sdk.runs.create(thread["thread_id"], "steps", input={}, multitask_strategy="interrupt")
    await eventually(lambda: _gone(cluster, first["run_id"]))


async def test_status_says_why_runs_wait_and_who_leads(api: Api, cluster: Cluster) -> None:
    cluster.refuse(*QUOTA)
    thread = await api.sdk.threads.create()
    await api.sdk.runs.create(thread["thread_id"], "steps", input={})

    async def blocked() -> str | None:
        reason: str | None = (await api.http.get("/status")).json()["queue"]["blocked"]
        return reason

    assert "exceeded quota" in (await eventually(blocked) or "")
    checks = (await api.http.get("/status")).json()["checks"]
    assert checks["kubernetes"] == {"status": "ok"}
    assert checks["operator"]["status"] == "down"
    assert checks["runners"] == {"status": "degraded", "ready": 1, "desired": 2}
    cluster.set_lease(holderIdentity="operator-1", renewTime="2020-01-01T00:00:00.000000Z")
    told = (await api.http.get("/status")).json()["checks"]["operator"]
    assert told["status"] == "down"
    assert "by operator-1" in told["reason"]


async def test_status_waits_two_seconds_for_an_api_server_that_says_nothing(
    api: Api, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_api.kube.client._REQUEST_SECONDS", 600.0)
    back = asyncio.Event()

    async def hangs(_: Request) -> None:
        await back.wait()

    cluster.server.fault = hangs
    checks = (await api.http.get("/status")).json()["checks"]
    back.set()
    reason = "the Kubernetes API server does not answer within 2 s"
    assert checks["kubernetes"] == {"status": "down", "reason": reason}
    assert checks["operator"] == {"status": "down", "reason": "its Lease cannot be read"}


async def test_graphs_of_agents_that_are_gone_are_not_offered(api: Api, cluster: Cluster) -> None:
    cluster.delete_agent("default")
    cluster.add_agent("another")

    async def refused() -> bool:
        return await api.sdk.assistants.search() == []

    await eventually(refused)


async def test_an_agent_that_came_since_is_looked_for(cluster: Cluster) -> None:
    wanted = {"default", "newcomer", "gone"}
    async with Kube.open() as kube:
        agents = AgentDirectory(kube, [NAMESPACE])
        assert set(await agents.claimants(wanted) or ()) == {"default"}
        cluster.add_agent("newcomer")

        async def known() -> bool:
            return set(await agents.claimants(wanted) or ()) == {"default", "newcomer"}

        await eventually(known)


async def test_a_refused_agentrun_is_made_as_soon_as_it_may_be(there: There) -> None:
    run = await accept(there.database)
    there.api.refuse(*QUOTA)
    await there.look()
    await there.look()
    row = await there.database.fetch_one("SELECT status, refusals, refusal, look_after > now() AS later FROM runs")
    assert row == {"status": "pending", "refusals": 2, "refusal": QUOTA[1], "later": True}
    there.api.accept()
    await there.look()
    assert there.api.created == [api_run(run.run_id)]
    row = await there.database.fetch_one("SELECT refusals, refusal, dispatched_at IS NOT NULL AS made FROM runs")
    assert row == {"refusals": 0, "refusal": None, "made": True}


async def test_a_run_that_no_replica_dispatched_is_dispatched_once(there: There) -> None:
    run = await accept(there.database)
    assert await there.reconciler.once() == 0, "its own replica has two seconds"
    await there.look()
    await there.look()
    assert there.api.created == [api_run(run.run_id)]


async def test_deleting_the_agentrun_cancels_the_run(there: There) -> None:
    run = await there.dispatched()
    there.api.delete_runs()
    await there.look()
    assert (await reread(there.database, run.run_id)).status is RunStatus.CANCELLED


async def test_a_rebuilt_cluster_gets_its_agentruns_again(there: There) -> None:
    waiting = await there.dispatched()
    running = await claimed(there.database, await there.dispatched())
    there.api.rebuild()
    await there.look()
    assert set(there.api.runs) == {api_run(waiting.run_id), api_run(running.run_id)}
    await there.look()
    assert (await reread(there.database, running.run_id)).status is RunStatus.RUNNING
    there.api.delete_runs()
    await there.look()
    assert (await reread(there.database, running.run_id)).status is RunStatus.CANCELLED, "deleted in the new cluster"


async def test_what_the_operator_decided_is_copied(there: There) -> None:
    run = await there.dispatched()
    failed = {"type": "Failed", "status": "True", "reason": "StartingDeadlineExceeded", "message": "waited too long"}
    there.api.runs[api_run(run.run_id)]["status"] = {"conditions": [failed]}
    await there.look()
    ended = await reread(there.database, run.run_id)
    assert (ended.reason, ended.message) == (Reason.STARTING_DEADLINE_EXCEEDED, "waited too long")


async def test_a_cancel_whose_delete_was_lost_is_told_again(there: There) -> None:
    run = await claimed(there.database, await there.dispatched())
    await request_cancel(there.database, run.run_id, CancelAction.INTERRUPT)
    await there.look()
    assert there.api.runs == {}
    assert (await reread(there.database, run.run_id)).status is RunStatus.RUNNING, "its runner has its grace"


async def test_a_cancel_ends_the_run_also_while_the_api_server_is_away(there: There) -> None:
    run = await claimed(there.database, await accept(there.database))
    await request_cancel(there.database, run.run_id, CancelAction.INTERRUPT)
    await there.database.execute("UPDATE runs SET cancel_requested_at = now() - interval '11 seconds'")
    there.api.refuse_deletion(api_run(run.run_id))
    await there.look()
    assert (await reread(there.database, run.run_id)).status is RunStatus.CANCELLED


async def test_the_agentrun_of_a_person_is_told_and_kept(there: There) -> None:
    run = await _inline(there, "mine")
    await there.look()
    await request_cancel(there.database, run.run_id, CancelAction.ROLLBACK)
    await there.look()
    assert there.api.runs["mine"]["spec"]["cancel"] == "Rollback"


async def test_a_persons_run_ends_with_its_agentrun(there: There) -> None:
    run = await _inline(there, "mine")
    await there.look()
    assert (await reread(there.database, run.run_id)).status is RunStatus.RUNNING
    there.api.runs["mine"]["metadata"]["uid"] = "of another one by the same name"
    await there.look()
    assert (await reread(there.database, run.run_id)).status is RunStatus.CANCELLED


async def test_a_persons_run_that_never_began_ends_with_its_agentrun_too(there: There) -> None:
    new = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec(input={}), object=ObjectRef(NAMESPACE, "x", "uid"))
    await create_run(there.database, new)
    await there.look()
    assert there.api.created == [], "a deleted run does not come back"
    assert (await reread(there.database, new.run_id)).status is RunStatus.CANCELLED


async def test_a_persons_run_goes_on_in_a_rebuilt_cluster(there: There) -> None:
    run = await _inline(there, "mine")
    await there.look()
    there.api.rebuild()
    await there.look()
    await there.look()
    assert set(there.api.runs) == {api_run(run.run_id)}
    assert (await reread(there.database, run.run_id)).status is RunStatus.RUNNING


async def test_two_replicas_do_not_look_at_the_same_run(there: There) -> None:
    for _ in range(20):
        await accept(there.database)
    await there.database.execute(NOW)
    assert sum([await there.reconciler.once(), await there.reconciler.once()]) == 20
    assert len(there.api.created) == 20


async def _inline(there: There, name: str) -> Run:
    """A running run that came with a person's own AgentRun."""
    ref = ObjectRef(NAMESPACE, name, there.api.add_run(name))
    new = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec(input={}), object=ref)
    await create_run(there.database, new)
    return await claimed(there.database, await reread(there.database, new.run_id))


async def _found(cluster: Cluster, run_id: str) -> dict[str, Any] | None:
    return cluster.runs.get(f"run-{run_id}")


async def _gone(cluster: Cluster, run_id: str) -> bool:
    return f"run-{run_id}" not in cluster.runs
