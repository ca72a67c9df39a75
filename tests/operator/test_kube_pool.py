"""When the operator makes pods again: what the API server refuses and what fails before it is ready backs off."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relayrun_core.process.restarts import BURST, PER_SECOND
from relayrun_operator.kube import observer, pool
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.manifests import Installation
from relayrun_operator.kube.observer import Observer
from relayrun_operator.kube.pins import Pins
from relayrun_operator.kube.pool import KubePool
from relayrun_operator.kube.records import AgentRecord
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.transport import OneToken
from relayrun_operator.loop.watch import lose_process
from relayrun_operator.loop.workqueue import WorkQueue

INSTALLATION = Installation("token", "http://relayrun-api")
QUOTA = KubeError(403, "Forbidden", "exceeded quota: pods")


def agent_body(version: int = 1, image: str = "support:1") -> dict[str, Any]:
    metadata = {"name": "support", "namespace": "team", "uid": "u", "resourceVersion": str(version), "generation": 1}
    spec = {"image": image, "runners": {"min": 3, "max": 3}}
    return {"apiVersion": "relayrun.dev/v1alpha1", "kind": "Agent", "metadata": metadata, "spec": spec}


class ApiServer:
    """Makes pods, unless it has a refusal."""

    def __init__(self) -> None:
        self.refusal: KubeError | None = None
        self.pods: list[dict[str, Any]] = []
        self.asked = 0

    async def create(self, path: str, body: dict[str, Any], *, strict: bool = False) -> dict[str, Any]:
        if not path.endswith("pods"):
            return body
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        made = {"uid": f"pod-{self.asked}", "namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z"}
        body["metadata"] |= made
        self.pods.append(body)
        return body

    async def delete(self, path: str, body: dict[str, Any]) -> None:
        """It begins to end."""


class Stage:
    """An operator's pool, whose time passes when the test says so."""

    def __init__(self, tasks: asyncio.TaskGroup, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (pool, observer):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now, time=lambda: 0.0))
        self.server = ApiServer()
        self.cache = Cache[Any](WorkQueue(lambda: None), lambda: self.now)
        self.agents: dict[str, AgentRecord] = {}
        ignored = cast(
            "Any",
            SimpleNamespace(
                by_key=self.agents,
                see_pod=lambda *_: None,
                see_end=lambda *_: None,
                lost=lambda *_: None,
                unfinished=tuple,
            ),
        )
        pins = Pins(self.cache, self.agents, ignored, lambda: 0.0)
        self.observer = Observer(
            self.cache, ignored, ignored, ignored, pins,
            tokens={"team": OneToken("t")}, installation=INSTALLATION,
            listen=lambda _: None, leave=lambda _: None, wake=lambda: None, displace=lambda *_: None,
        )  # fmt: skip
        lease = SimpleNamespace(held=True, check=lambda: None)
        self.pool = KubePool(
            cast("Any", self.server), cast("Any", lease), tasks, self.cache,
            installation=INSTALLATION, on_pod=self.observer.see_pod, on_agent=lambda _: None,
        )  # fmt: skip
        self.observer.see_agent(agent_body())

    @property
    def agent(self) -> AgentRecord:
        return self.agents["team/support"]

    async def adjust(self) -> int:
        """How many pods it asks for."""
        before = self.server.asked
        self.pool.adjust(self.agents, frozenset())
        for _ in range(20):
            await asyncio.sleep(0)
        return self.server.asked - before

    def ready(self, name: str) -> None:
        runner = self.cache.runners[name]
        runner.ready = True
        runner.changed(0.0)

    def back_off(self, name: str) -> None:
        """Its process ended too often: the kubelet waits before it starts the container again."""
        runner = self.cache.runners[name]
        lose_process(runner, self.cache)
        waiting = {"name": "runner", "restartCount": 6, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        self.observer.see_pod({**runner.pod, "status": {"phase": "Running", "containerStatuses": [waiting]}})

    def fail(self, name: str) -> None:
        """As the kubelet does that has no room for it, or evicts it."""
        self.observer.see_pod({**self.cache.runners[name].pod, "status": {"phase": "Failed"}})


Play = Callable[[Stage], Awaitable[None]]


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Play], Awaitable[None]]:
    async def run(play: Play) -> None:
        async with asyncio.TaskGroup() as tasks:
            await play(Stage(tasks, monkeypatch))

    return run


async def test_a_refused_pod_is_asked_for_again_after_a_pause_that_grows(on_stage) -> None:
    async def play(stage: Stage) -> None:
        stage.server.refusal = QUOTA
        for pause in (0.5, 1, 2):
            assert await stage.adjust() == 1
            assert stage.agent.refusal == QUOTA.message
            stage.now += pause - 0.01
            assert await stage.adjust() == 0
            stage.now += 0.01
        stage.server.refusal = None
        assert await stage.adjust() == 3
        assert stage.agent.refusal == ""

    await on_stage(play)


async def test_another_template_is_tried_at_once(on_stage) -> None:
    async def play(stage: Stage) -> None:
        stage.server.refusal = QUOTA
        assert await stage.adjust() == 1
        stage.observer.see_agent(agent_body(2))  # its status was written: nothing has changed
        assert await stage.adjust() == 0
        stage.observer.see_agent(agent_body(3, "support:2"))
        assert await stage.adjust() == 1

    await on_stage(play)


async def test_pods_that_fail_before_they_are_ready_back_off_and_delay_no_other(on_stage) -> None:
    async def play(stage: Stage) -> None:
        assert await stage.adjust() == 3
        first, second, third = stage.cache.runners
        stage.fail(first)
        assert await stage.adjust() == 0
        stage.ready(second)
        assert await stage.adjust() == 1  # where one runs, others may
        stage.fail(first)
        assert await stage.adjust() == 0
        stage.fail(second)  # which had served, and was evicted
        assert await stage.adjust() == 1
        assert third in stage.cache.runners

    await on_stage(play)


async def test_pods_in_back_off_that_had_served_are_replaced_as_quickly_as_killed_processes(on_stage) -> None:
    async def play(stage: Stage) -> None:
        assert await stage.adjust() == 3
        for replaced in range(BURST):
            name = f"team/{stage.server.pods[replaced]['metadata']['name']}"
            stage.ready(name)
            stage.back_off(name)
            assert await stage.adjust() == 1
            assert stage.cache.runners[name].draining
        name = f"team/{stage.server.pods[BURST]['metadata']['name']}"
        stage.ready(name)
        stage.back_off(name)
        assert await stage.adjust() == 0
        stage.now += 1 / PER_SECOND
        assert await stage.adjust() == 1

    await on_stage(play)


@pytest.mark.parametrize(("ready_after", "replaced"), [(None, False), (1, False), (30, True)])
async def test_a_new_leader_sees_in_the_pod_whether_it_had_served(on_stage, ready_after, replaced) -> None:
    async def play(stage: Stage) -> None:
        assert await stage.adjust() == 3
        name = next(iter(stage.cache.runners))
        stage.back_off(name)
        status = stage.cache.runners[name].pod["status"]
        changed = f"2026-01-01T00:00:{ready_after or 0:02}Z"
        conditions = [{"type": "Ready", "status": "False", "lastTransitionTime": changed}]
        seen = {**status, "startTime": "2026-01-01T00:00:00Z", "conditions": conditions}
        stage.observer.see_pod({**stage.cache.runners[name].pod, "status": seen})
        assert await stage.adjust() == int(replaced)
        assert stage.cache.runners[name].draining is replaced

    await on_stage(play)


async def test_a_pod_in_back_off_that_never_served_stays_and_is_not_made_again(on_stage) -> None:
    async def play(stage: Stage) -> None:
        assert await stage.adjust() == 3
        for name in stage.cache.runners:
            stage.back_off(name)
        assert await stage.adjust() == 0
        assert not any(runner.draining for runner in stage.cache.runners.values())

    await on_stage(play)


async def test_a_pod_of_an_older_template_that_fails_says_nothing_of_the_newer(on_stage) -> None:
    async def play(stage: Stage) -> None:
        assert await stage.adjust() == 3
        first, *_ = stage.cache.runners
        stage.observer.see_agent(agent_body(2, "support:2"))
        stage.fail(first)
        assert stage.agent.restarts.failures == 0

    await on_stage(play)
