"""Journals are kept for a while, in a cluster as in local mode; what a run came to stays."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from relayrun_api.settings import ApiSettings
from relayrun_api.system import cleanup as tidying
from tests.api.cluster import NAMESPACE, Cluster
from tests.api.conftest import Api, opened, until_metrics_say
from tests.api.play import Attempt


async def _ended(api: Api, *, hours_ago: int) -> tuple[str, str]:
    run = (await api.http.post("/runs", json={"assistant_id": "steps", "on_completion": "keep"})).json()
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.tell("values", {"steps": ["a"]})
    await attempt.succeed({"steps": ["a"]})
    age = "UPDATE runs SET finished_at = finished_at - make_interval(hours => %s) WHERE run_id = %s"
    await api.database.execute(age, (hours_ago, run["run_id"]))
    return run["thread_id"], run["run_id"]


async def _all_of(api: Api, thread: str, run: str) -> httpx.Response:
    return await api.http.get(f"/threads/{thread}/runs/{run}/stream", headers={"Last-Event-ID": "-"})


@pytest.mark.parametrize("world", ["local", "kubernetes"])
async def test_every_api_forgets_old_journals(
    api: Api, settings: ApiSettings, cluster: Cluster, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, young = await _ended(api, hours_ago=25), await _ended(api, hours_ago=23)
    monkeypatch.setattr(tidying, "_JOURNAL_SECONDS", 0.01)
    there = {"world": world, "namespace": NAMESPACE, "journal_keep_hours": 24}
    async with opened(settings.model_copy(update=there)) as replica:
        await until_metrics_say(replica, "relayrun_journal_events_forgotten_total 3.0")
        told = {run: await _all_of(replica, thread, run) for thread, run in (old, young)}
        assert [answer.text.count("event: values") for answer in told.values()] == [0, 1]
        for thread, run in (old, young):
            assert (await replica.http.get(f"/threads/{thread}/runs/{run}")).json()["status"] == "success"
            assert (await replica.http.get(f"/threads/{thread}")).json()["values"] == {"steps": ["a"]}
            async with asyncio.timeout(60):
                assert (await replica.http.get(f"/threads/{thread}/runs/{run}/join")).status_code == 200


async def test_a_keep_of_zero_is_for_ever() -> None:
    assert ApiSettings(auth="none", journal_keep_hours=0).journal_keep is None
