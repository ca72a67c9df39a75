"""Runners that die inside their pods: another process at the same address, and what is counted and told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from relayrun_core.kinds.agent import AgentStatus
from relayrun_core.runner_protocol import AttemptState, ListLine, ReadinessBody, RunReport
from relayrun_operator.engine import Report
from relayrun_operator.kube.deaths import Deaths, why_ended
from relayrun_operator.kube.events import EventPoster
from relayrun_operator.kube.manifests import Installation
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.records import parse_agent
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import RunnerClient
from relayrun_operator.loop.watch import watch_runner
from relayrun_operator.loop.workqueue import WorkQueue
from tests.operator.scripted import TOKEN, ScriptedRunner
from tests.support.waiting import until

AGENT = {
    "metadata": {"name": "support", "namespace": "ns", "uid": "u", "resourceVersion": "1", "generation": 1},
    "spec": {"image": "support:1"},
}


def make_runner(port: int = 1, **fields: Any) -> PodRunner:
    known: dict[str, Any] = {"agent": "ns/support", "generation": "g", "slots": 4, "started_at": 0.0, "last_heard": 0.0}
    known |= {"uid": "p", "ip": "127.0.0.1", "pod": {}, "deaths": {}}
    return PodRunner(name="ns/support-g-0", client=RunnerClient("127.0.0.1", port, TOKEN), **known | fields)


class Told:
    """What the operator counts and posts."""

    def __init__(self) -> None:
        self.metrics = OperatorMetrics()
        self._events = EventPoster(cast("Any", None), "me")
        self.agent = agent = parse_agent(AGENT, Installation("token", "http://api"))
        self.runs: list[str] = []
        self.deaths = Deaths(self._events, self.metrics, {agent.key: agent}, lambda _, why: self.runs.append(why))

    def count(self, reason: str) -> float:
        labels = {"namespace": "ns", "agent": "support", "reason": reason}
        return self.metrics.registry.get_sample_value("relayrun_runner_deaths_total", labels) or 0.0

    def events(self) -> list[tuple[str, str]]:
        found = []
        while not self._events._queue.empty():
            event = self._events._queue.get_nowait()
            found.append((str(event["reason"]), str(event["message"])))
        return found


def ended_container(**terminated: Any) -> dict[str, Any]:
    return {"name": "runner", "state": {"terminated": terminated}}


def pod(restarts: int, **terminated: Any) -> dict[str, Any]:
    status = {"name": "runner", "restartCount": restarts, "lastState": {"terminated": terminated}}
    return {"status": {"containerStatuses": [{"name": "other", "restartCount": 7}, status]}}


async def test_each_death_is_counted_once_by_its_reason_and_told_of_the_agent() -> None:
    told, runner = Told(), make_runner()
    told.deaths.see_deaths(runner, {"Killed": 1})
    told.deaths.see_deaths(runner, {"Killed": 1})
    told.deaths.see_deaths(runner, {"Killed": 3, "Exited": 1})
    assert (told.count("Killed"), told.count("Exited"), told.count("OOMKilled")) == (3, 1, 0)
    begin = "runner support-g-0: its process"
    assert told.events() == [
        ("RunnerKilled", f"{begin} was killed by a signal; the next one runs in the same pod"),
        ("RunnerKilled", f"{begin} was killed by a signal; the next one runs in the same pod (2 times)"),
        ("RunnerExited", f"{begin} ended itself; the next one runs in the same pod"),
    ]


async def test_what_another_leader_has_told_is_not_told_again() -> None:
    told, runner = Told(), make_runner(deaths=None)
    told.deaths.see_deaths(runner, {"Killed": 5})
    assert told.events() == []
    told.deaths.see_deaths(runner, {"Killed": 6})
    assert told.count("Killed") == 1


async def test_an_out_of_memory_kill_of_the_whole_container_is_told_as_such() -> None:
    told, runner = Told(), make_runner(deaths={"Killed": 2})
    told.deaths.see_pod(runner, pod(0), pod(1, reason="OOMKilled", exitCode=137))
    assert told.count("OOMKilled") == 1
    [(reason, message)] = told.events()
    assert reason == "RunnerOOMKilled"
    assert "its container was killed because its container's memory ran out, exit code 137" in message
    told.deaths.see_deaths(runner, {"Killed": 1})  # its first process is another one, and counts from nothing
    assert told.count("Killed") == 1
    told.deaths.see_pod(runner, pod(1), pod(1))
    told.deaths.see_pod(runner, pod(1), pod(2, reason="Error", exitCode=139))
    assert told.count("Crashed") == 1
    assert told.runs == ["OOMKilled, exit code 137", "Killed", "Crashed, exit code 139"]
    assert [death["reason"] for death in told.agent.deaths] == told.runs[::-1]
    for _ in range(12):
        told.deaths.see_pod(runner, pod(2), pod(3, reason="OOMKilled", exitCode=137))
    AgentStatus.model_validate({"recentDeaths": told.agent.deaths})
    assert len(told.agent.deaths) == 10


@pytest.mark.parametrize(
    ("status", "asked", "why"),
    [
        ({"reason": "Evicted", "message": "the node was low on memory"}, False, "Evicted: the node was low on memory"),
        (
            {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]},
            True,
            "DeletionByTaintManager",
        ),
        ({"containerStatuses": [ended_container(reason="OOMKilled", exitCode=137)]}, False, "OOMKilled, exit code 137"),
        ({"containerStatuses": [ended_container(reason="Completed", exitCode=0)]}, True, None),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, False, None),
    ],
)
def test_a_pods_end_says_why(status: dict[str, Any], asked: bool, why: str | None) -> None:
    assert why_ended({"status": status}, asked=asked) == why


class Listening:
    """Who hears of the runner."""

    def __init__(self) -> None:
        self.down: list[bool] = []
        self.deaths: list[dict[str, int]] = []

    def on_report(self, runner: PodRunner, reported: RunReport) -> None:
        """Not of interest."""

    def on_unknown(self, runner: PodRunner, run_id: str) -> None:
        """Not of interest."""

    def on_deaths(self, runner: PodRunner, deaths: Mapping[str, int]) -> None:
        self.deaths.append(dict(deaths))

    def on_runner(self, runner: PodRunner) -> None:
        self.down.append(runner.down)


async def test_another_process_at_the_same_address_has_none_of_the_runs_and_is_ready_when_it_says_so() -> None:
    async with ScriptedRunner().serving() as scripted:
        scripted.answers = [ReadinessBody(ready=True)]
        runner, listening = make_runner(scripted.port), Listening()
        cache = Cache[PodRunner](WorkQueue(lambda: None), asyncio.get_running_loop().time)
        cache.runners[runner.name] = runner
        listed = ListLine(holder="first", slots=4, graphs=["steps"])
        another = listed.model_copy(update={"holder": "second", "deaths": {"Killed": 1}})
        scripted.say(listed)
        task = asyncio.create_task(watch_runner(runner, cache, listening))
        await until(lambda: runner.holder == "first")
        runner.set_report("run", Report(1, AttemptState.RUNNING), 0.0)
        scripted.answers = [(503, ReadinessBody(ready=False).model_dump())]
        scripted.break_stream()
        scripted.say(another)  # it listens, and loads its graphs
        await until(lambda: True in listening.down)
        assert (runner.ready, runner.holder, runner.reports) == (False, None, {})
        scripted.break_stream()  # the one that was left
        scripted.answers = [ReadinessBody(ready=True)]
        scripted.say(another)
        await until(lambda: runner.ready)
        assert (runner.holder, runner.down, runner.gone) == ("second", False, False)
        assert listening.deaths == [{}, {"Killed": 1}]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        runner.client.close()
