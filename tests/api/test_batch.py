"""Several runs in one request: all or none, each counted, and once for an idempotency key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from relayrun_api.settings import ApiSettings
from relayrun_core.db.runs import unfinished_runs
from tests.api.access import HS256
from tests.api.cluster import Cluster
from tests.api.conftest import Api
from tests.api.test_refusals import check_problem
from tests.support.waiting import until

RUN = {"assistant_id": "steps", "input": {}}
KEY = {"Idempotency-Key": "batch-1"}


@pytest.fixture
def settings(database_url: str) -> ApiSettings:
    return ApiSettings(database_url=database_url, rate_limit=5, **HS256)


def batch(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{**RUN, "input": {"number": number}, **more} for number in range(count)]


async def numbers_there(api: Api) -> list[int]:
    return [run.spec.input["number"] for run in await unfinished_runs(api.database)]


async def test_a_batch_is_accepted_in_its_order_and_each_run_counts(api: Api, alice: httpx.AsyncClient) -> None:
    response = await alice.post("/runs/batch", json=batch(3))
    runs = response.json()
    assert [run["kwargs"]["input"] for run in runs] == [{"number": number} for number in range(3)]
    assert len({run["thread_id"] for run in runs}) == 3
    assert await numbers_there(api) == [0, 1, 2]
    assert response.headers["ratelimit"].startswith('"runs";r=2;')


async def test_a_batch_beyond_the_limit_is_refused_whole(api: Api, alice: httpx.AsyncClient) -> None:
    assert (await alice.post("/runs/batch", json=batch(3))).status_code == 200
    await api.database.execute(
        "UPDATE run_starts SET started_at = started_at - make_interval(secs => (4 - number) * 1000)"
    )
    refused = await alice.post("/runs/batch", json=batch(4))
    check_problem(refused, 429, "rate_limited")
    # Two of the three have to leave the window: the older two, 3000 and 2000 seconds old.
    assert 1590 <= int(refused.headers["retry-after"]) <= 1600
    assert refused.headers["ratelimit"].startswith('"runs";r=2;')
    assert (await alice.post("/runs/batch", json=batch(2))).status_code == 200
    check_problem(await alice.post("/runs", json=RUN), 429, "rate_limited")
    too_many = check_problem(await alice.post("/runs/batch", json=batch(6)), 422, "invalid_request")
    assert "5 runs" in too_many["detail"]
    assert len(await numbers_there(api)) == 5


async def test_one_run_that_is_refused_refuses_all_and_leaves_nothing(api: Api, alice: httpx.AsyncClient) -> None:
    answering = {"assistant_id": "steps", "command": {"resume": "yes"}}
    refused = await alice.post("/runs/batch", json=[*batch(2), answering], headers=KEY)
    check_problem(refused, 409, "resume_conflict")
    unknown = await alice.post("/runs/batch", json=[*batch(2), {**RUN, "assistant_id": "nope"}])
    check_problem(unknown, 422, "invalid_request")
    for table in ("runs", "threads", "run_starts", "idempotency_keys"):
        assert await api.database.fetch_all(f"SELECT 1 FROM {table}") == [], table
    assert (await alice.post("/runs/batch", json=batch(2), headers=KEY)).status_code == 200, "the key is free again"


async def test_the_same_batch_twice_is_the_same_runs_and_counts_once(api: Api, alice: httpx.AsyncClient) -> None:
    first, again = [await alice.post("/runs/batch", json=batch(3), headers=KEY) for _ in range(2)]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert again.json() == first.json()
    assert await numbers_there(api) == [0, 1, 2]
    other = await alice.post("/runs/batch", json=batch(2), headers=KEY)
    check_problem(other, 422, "idempotency_key_reused")
    single = await alice.post("/runs", json=RUN, headers=KEY)
    check_problem(single, 422, "idempotency_key_reused")


async def test_a_batch_has_one_to_a_hundred_runs_of_their_own_threads(shared: Api) -> None:
    for body in ([], batch(101), RUN, "text", [1]):
        check_problem(await shared.http.post("/runs/batch", json=body), 422, "invalid_request")
    named = "00000000-0000-4000-8000-000000000001"
    made = (await shared.http.post("/runs/batch", json=[{**RUN, "thread_id": named}] * 2)).json()
    assert [run["status"] for run in made] == ["pending", "pending"]
    assert len({named, *(run["thread_id"] for run in made)}) == 3


async def test_in_a_cluster_each_run_of_a_batch_becomes_an_agentrun(cluster: Cluster, clustered: Api) -> None:
    runs = (await clustered.http.post("/runs/batch", json=[*batch(2), *batch(1, after_seconds=3600)])).json()
    made = {run["run_id"] for run in runs[:2]}
    await until(lambda: {spec["spec"]["runId"] for spec in cluster.runs.values()} == made)
