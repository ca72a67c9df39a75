"""`GET /agents`: an agent's runners and conditions, where each world has them, and who is told what."""

from __future__ import annotations

from pathlib import Path

import orjson

from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_admin, as_user
from tests.api.cluster import NAMESPACE, Cluster
from tests.api.conftest import Api, opened
from tests.api.play import Attempt
from tests.support.kubernetes import Object
from tests.support.waiting import eventually

DEATH = {"runner": "default-0-1", "at": "2026-11-23T14:30:00+00:00", "reason": "killed by signal 9"}


def entry(name: str, state: str) -> dict[str, object]:
    place = {"url": "http://127.0.0.1:1", "agent": "default", "graphs": ["steps"]}
    return {"name": name, **place, "ready": state == "ready", "state": state, "slots": 8, "generation": 2}


async def test_admins_see_the_runners_and_why_they_died(database_url: str, tmp_path: Path) -> None:
    listed = tmp_path / "runners.json"
    about = {"name": "default", "generation": "2", "deaths": [DEATH]}
    runners = [entry("runner-1", "ready"), entry("default-1-9", "draining")]
    listed.write_bytes(orjson.dumps({"runners": runners, "agent": about, "desired": 2, "problems": []}))
    async with opened(ApiSettings(database_url=database_url, runners_file=listed, **HS256)) as api:
        run = (await api.http.post("/runs", json={"assistant_id": "steps"}, headers=as_admin())).json()
        await Attempt.begin(api.database, run["run_id"])
        [agent] = (await api.http.get("/agents", headers=as_admin())).json()
        assert (agent["ready"], agent["desired"], agent["generation"], agent["running"]) == (1, 2, "2", 1)
        [draining] = [runner for runner in agent["runners"] if runner["state"] == "draining"]
        assert draining == {
            "name": "default-1-9",
            "state": "draining",
            "running": 0,
            "slots": 8,
            "generation": "2",
            "restarts": 0,
        }
        assert agent["recent_deaths"] == [DEATH]
        assert {runner["name"]: runner["running"] for runner in agent["runners"]} == {"runner-1": 1, "default-1-9": 0}
        [agent] = (await api.http.get("/agents", headers=as_user("alice"))).json()
        assert (agent["ready"], agent["runners"], agent["recent_deaths"]) == (1, None, None)


def stalled(name: str) -> Object:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "ImagePullFailed",
        "message": "no such image: shop:9",
        "lastTransitionTime": "2026-11-23T14:30:00Z",
    }
    runner = {"name": f"{name}-7f-0", "state": "starting", "slots": 4, "revision": "7f", "restarts": 3}
    status = {
        "replicas": 1,
        "currentRevision": "7f",
        "conditions": [condition],
        "runners": [runner],
        "recentDeaths": [{"runner": f"{name}-7f-0", "time": "2026-11-23T14:29:00Z", "reason": "OOMKilled"}],
    }
    return {"kind": "Agent", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}, "status": status}


async def test_an_agent_of_a_cluster_that_never_got_up_says_why(clustered: Api, cluster: Cluster) -> None:
    cluster.set_agents(stalled("shop"))

    async def agents() -> list[str]:
        return [agent["agent"] for agent in (await clustered.http.get("/agents")).json()]

    async def listed() -> bool:
        return await agents() == ["shop"]

    await eventually(listed)
    [shop] = (await clustered.http.get("/agents")).json()
    assert (shop["graphs"], shop["build"], shop["ready"], shop["desired"]) == ([], None, 0, 1)
    [condition] = shop["conditions"]
    assert (condition["type"], condition["reason"]) == ("Ready", "ImagePullFailed")
    assert condition["message"] == "no such image: shop:9"
    [runner] = shop["runners"]
    assert (runner["state"], runner["generation"], runner["restarts"], runner["running"]) == ("starting", "7f", 3, 0)
    assert [death["reason"] for death in shop["recent_deaths"]] == ["OOMKilled"]
