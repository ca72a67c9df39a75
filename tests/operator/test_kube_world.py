"""The operator on an API server: leaders that die, and runners that are lost with them."""

import asyncio
import base64
import itertools
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from relayrun_core.states import RunStatus
from tests.operator.kubeworld import NAMESPACE, KubePlay, kube_world, leader_of
from tests.support.kubernetes import ApiServer, Refused, kubeconfig_for
from tests.support.waiting import until

pytestmark = pytest.mark.crash


@pytest.fixture
async def play(tmp_path: Path, database_url: str) -> AsyncIterator[KubePlay]:
    async with kube_world(tmp_path, database_url) as play:
        yield play


TOKEN = f"/api/v1/namespaces/{NAMESPACE}/secrets/relayrun-runner-token"


def token_of(play: KubePlay) -> str:
    return base64.b64decode(play.server.get(TOKEN)["data"]["token"]).decode()


def write_token(play: KubePlay, *, token: str, previous: str | None = None) -> None:
    """Write the Secret; the pods have it once their kubelet has looked."""
    data = {"token": token, "previous-token": previous}
    patch = {key: None if text is None else base64.b64encode(text.encode()).decode() for key, text in data.items()}
    play.server.merge(TOKEN, {"data": patch})


async def all_succeed(play: KubePlay) -> None:
    """So many runs that each runner gets some."""
    runs = [await play.start_run() for _ in range(6)]
    done = [await play.until_finished(run_id) for run_id in runs]
    assert {(run.status, run.attempt) for run in done} == {(RunStatus.SUCCESS, 1)}


async def succeed(play: KubePlay) -> None:
    """The leader is killed; its successor leads once the Lease has not moved for long enough."""
    await play.operators.kill("first")
    play.task = await play.operators.start("second")
    await until(lambda: leader_of(play.server).startswith("second"))


async def test_a_new_leader_adopts_what_runs_and_gives_out_what_waits(play: KubePlay):
    runs = [await play.start_run(name=f"n{n}", gate="gate") for n in range(10)]
    await until(lambda: play.waiting == 2)
    await play.until_traced("n0", "second")
    await succeed(play)
    newest = await play.start_run(name="new")
    play.open_gate()
    done = [await play.until_finished(run_id) for run_id in [*runs, newest]]
    assert {(run.status, run.attempt) for run in done} == {(RunStatus.SUCCESS, 1)}
    assert all(len(play.traces(f"n{n}", "second")) == 1 for n in range(10))
    await until(lambda: play.unfinished == 0)


async def test_a_status_that_a_person_wrote_stops_no_operator(play: KubePlay):
    await play.operators.kill("first")
    for name, status in {
        "numbered": {"attempts": 2**31 - 1},
        "dated": {"startTime": "0000-01-01T00:00:00Z"},
        "odd": {"conditions": [{"type": "Assigned"}]},
    }.items():
        play.apply(name, {"did": []})
        play.server.merge(
            f"/apis/relayrun.dev/v1alpha1/namespaces/{NAMESPACE}/agentruns/{name}/status", {"status": status}
        )
    play.task = await play.operators.start("second")
    assert (await play.until_finished(await play.start_run(name="x"))).status is RunStatus.SUCCESS
    for name in ("numbered", "dated"):
        assert (await play.until_ended(name))["attempts"] == 1
    assert not play.task.done()


async def test_runners_lost_with_the_leader_are_replaced_although_nobody_ever_heard_them(play: KubePlay):
    run_id = await play.start_run(name="x", gate="gate")
    await play.until_traced("x", "second")
    lost = {runner["name"] for runner in play.runners}
    play.kubelet.lose_all()
    await succeed(play)
    await play.until_traced("x", "second", times=2)  # on a runner that was not there before
    run = await play.run(run_id)
    assert (run.attempt, run.runner not in lost) == (2, True)
    assert lost <= {runner["name"] for runner in play.runners}, "Kubernetes has not noticed yet"
    for name in lost:
        play.signal(name, signal.SIGCONT)
    play.open_gate()
    assert (await play.until_finished(run_id)).status is RunStatus.SUCCESS
    assert len(play.traces("x", "first")) == 1


async def test_a_runner_whose_container_waits_in_back_off_is_replaced(play: KubePlay):
    broken = pods_of(play)
    play.kubelet.in_back_off |= set(broken.values())
    for name in broken.values():
        play.signal(name, signal.SIGKILL)
    run = await play.until_finished(await play.start_run(name="x"))
    assert run.status is RunStatus.SUCCESS
    await until(lambda: len(play.ready_runners) == len(play.runners) == 2)
    # By their UIDs: a pod may have the name of one that is gone.
    assert broken.keys().isdisjoint(pods_of(play))


def pods_of(play: KubePlay) -> dict[str, str]:
    """The pods' names, by UID."""
    return {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in play.server.all("Pod")}


async def test_the_runners_token_is_replaced_unnoticed_and_a_wrong_one_shows_on_the_agent(play: KubePlay):
    pods = {runner["name"] for runner in play.runners}
    waits = await play.start_run(name="waits", gate="gate")
    await play.until_traced("waits", "second")
    write_token(play, token="new", previous=token_of(play))
    for name in sorted(pods):
        await all_succeed(play)
        play.kubelet.sync(name)
    await all_succeed(play)
    write_token(play, token="new")
    for name in sorted(pods):
        await all_succeed(play)
        play.kubelet.sync(name)
    await all_succeed(play)
    play.open_gate()
    assert (await play.until_finished(waits)).attempt == 1

    write_token(play, token="third")  # without the one before: runners are told of it, the operator is not yet
    for name in pods:
        play.kubelet.sync(name)
    write_token(play, token="fourth")
    run_id = await play.start_run(name="x")
    await until(lambda: play.readiness["reason"] == "Unauthorized")
    assert all(name in play.readiness["message"] for name in pods)
    assert "Unauthorized" in {event["reason"] for event in play.server.all("Event")}
    write_token(play, token="fourth", previous="third")
    run = await play.until_finished(run_id)
    assert (run.status, run.attempt) == (RunStatus.SUCCESS, 1)
    await until(lambda: play.readiness["message"] == "runners ready: 2, wanted: 2")
    assert {runner["name"] for runner in play.ready_runners} == pods


async def test_a_leader_that_cannot_renew_its_lease_ends_and_its_standby_goes_on(play: KubePlay):
    run_id = await play.start_run(name="x", gate="gate")
    await play.until_traced("x", "second")
    standby = await play.operators.start("second")
    play.server.cut_off.add("first")
    assert await play.operators.processes["first"].wait() == 1
    play.task = standby
    await until(lambda: leader_of(play.server).startswith("second"))
    assert (await play.until_finished(await play.start_run(name="new"))).attempt == 1
    play.open_gate()
    assert (await play.until_finished(run_id)).attempt == 1


REFUSALS = {
    "PodForbidden": Refused(403, "Forbidden", 'admission webhook "policy" denied the request: no such image'),
    "FailedCreate": Refused(500, "InternalError", "etcdserver: request timed out"),
}


async def test_a_pod_that_is_not_made_shows_on_its_agent_and_is_made_once_it_can_be(play: KubePlay):
    for reason, refusal in REFUSALS.items():
        play.server.refusals["POST", "/api/v1/namespaces/team/pods"] = refusal
        play.server.delete(f"/api/v1/namespaces/team/pods/{play.ready_runners[0]['name']}")
        await until(lambda sentence=f"{reason}: {refusal}": sentence in play.readiness["message"])
        play.server.refusals.clear()
        await until(lambda: len(play.ready_runners) == 2)
        await until(lambda: play.readiness["message"] == "runners ready: 2, wanted: 2")


async def test_runs_end_whatever_ails_the_api_server_and_the_operator_counts_it(play: KubePlay):
    for ail in (throttle, fail, delay, cut_watches, compact):
        ail(play.server)
        await all_succeed(play)
        play.server.fault = play.server.watch_seconds = None
    await until(lambda: play.unfinished == 0)
    assert {runner["name"] for runner in play.ready_runners} == {runner["name"] for runner in play.runners}
    counted = await play.operators.metrics("first")
    assert 'relayrun_apiserver_requests_total{code="429",method="P' in counted
    assert 'relayrun_apiserver_requests_total{code="500",method="P' in counted


def throttle(server: ApiServer) -> None:
    server.fault = every_other(429, "TooManyRequests", {"Retry-After": "1"})


def fail(server: ApiServer) -> None:
    server.fault = every_other(500, "InternalError", {})


def delay(server: ApiServer) -> None:
    async def wait(_: Request) -> None:
        await asyncio.sleep(1)  # what ails it

    server.fault = wait


def cut_watches(server: ApiServer) -> None:
    server.watch_seconds = 0.05
    server.drop_watches()


def compact(server: ApiServer) -> None:
    server.compact()
    server.drop_watches()


def every_other(status: int, reason: str, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response | None]]:
    """Refuses every second request that writes."""
    numbers = itertools.count()

    async def answer(request: Request) -> Response | None:
        if request.method == "GET" or next(numbers) % 2:
            return None
        return JSONResponse({"kind": "Status", "code": status, "reason": reason, "message": reason}, status, headers)

    return answer


async def test_an_agentrun_that_git_makes_again_is_not_executed_again_unless_asked(play: KubePlay):
    """First finished, then deleted while it ran, then cancelled while it waited; each is made again under its name."""
    done = {"name": "done"}
    play.apply("refund", done)
    first = await play.until_ended("refund")
    play.delete("refund")
    play.apply("refund", done)
    again = await play.until_ended("refund")
    same = ("phase", "runId", "threadId", "output", "attempts", "startTime", "completionTime")
    assert {key: again.get(key) for key in same} == {key: first.get(key) for key in same}
    assert (again["reason"], again["output"]["name"]) == ("AlreadyExecuted", "done")
    holds = {entry["type"]: (entry["status"], entry["reason"]) for entry in again["conditions"]}
    assert holds["Complete"] == holds["Finished"] == holds["Ready"] == ("True", "Succeeded")
    assert holds["Assigned"] == ("False", "AlreadyExecuted")
    play.delete("refund")
    play.apply("refund", done, {"relayrun.dev/rerun": "it was wrong"})
    asked = await play.until_ended("refund")
    assert (asked["reason"], len(play.traces("done", "second"))) == ("Succeeded", 2)
    assert asked["runId"] != first["runId"]
    play.change("refund", ttlSecondsAfterFinished=3600)
    await until(lambda: play.status_of("refund")["observedGeneration"] == 2)

    # One that would cancel what goes on now on its thread.
    interrupts = {"thread": "refunds", "multitaskStrategy": "Interrupt"}
    play.apply("first", {"name": "first"}, **interrupts)
    await play.until_ended("first")
    play.apply("second", {"name": "later", "gate": "later"}, thread="refunds")
    await play.until_traced("later", "second")
    play.delete("first")
    play.apply("first", {"name": "first"}, **interrupts)
    await until(lambda: play.status_of("first").get("reason") == "ThreadBusy")
    (play.folder / "later").touch()
    outcomes = [await play.until_ended(name) for name in ("second", "first")]
    assert [status["reason"] for status in outcomes] == ["Succeeded", "AlreadyExecuted"]
    play.apply("third", {"name": "third", "gate": "gate"}, thread="refunds")
    await play.until_traced("third", "second")
    play.apply("fourth", {"name": "fourth", "gate": ""}, **interrupts)
    assert (await play.until_ended("third"))["phase"] == "Cancelled"
    await play.until_ended("fourth")

    play.apply("large", {"name": "x" * 5000})
    large = await play.until_ended("large")
    assert ("output" in large, f"`relayrun output {large['runId']}`" in large["message"]) == (False, True)

    for name in [f"n{n}" for n in range(8)]:  # all slots
        play.apply(name, {"name": name, "gate": "gate"})
    await until(lambda: play.load == 8)
    play.apply("waits", {"name": "waits"})
    await until(lambda: play.waiting == 1)
    for name, state in (("n0", {"name": "n0", "gate": "gate"}), ("waits", {"name": "waits"})):
        play.delete(name)
        play.apply(name, state)
    ended = [await play.until_ended(name) for name in ("n0", "waits")]
    play.open_gate()
    assert [(status["phase"], status["reason"]) for status in ended] == [("Cancelled", "AlreadyExecuted")] * 2
    assert (len(play.traces("n0", "first")), play.traces("waits", "first")) == (1, [])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on the PATH")
async def test_a_restart_replaces_every_runner_and_its_runs_go_on(play: KubePlay, tmp_path: Path):
    """Before it a runner is killed: the AgentRun says of what."""
    play.apply("refund", {"name": "x", "gate": "gate"})
    await play.until_traced("x", "second")
    await until(lambda: "runnerName" in play.status_of("refund"))
    play.signal(play.status_of("refund")["runnerName"], signal.SIGKILL)
    await play.until_traced("x", "second", times=2)
    await until(lambda: "died: Killed, exit code 137" in play.status_of("refund")["message"])
    old = {runner["name"] for runner in play.runners}
    kubeconfig = str(kubeconfig_for(tmp_path, play.operators.url, "somebody"))
    restart = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "relayrun_cli", "restart", "default", "-n", "team", "--wait"),
        env={**os.environ, "KUBECONFIG": kubeconfig},
    )
    await until(lambda: any(runner["draining"] for runner in play.runners))
    play.open_gate()
    ended = await play.until_ended("refund")
    assert (ended["phase"], ended["attempts"]) == ("Succeeded", 2)
    assert await restart.wait() == 0
    assert not old & {runner["name"] for runner in play.runners}
    (play.folder / "kill").touch()
    play.apply("poison", {"poison": True}, backoffLimit=0)
    poison = await play.until_ended("poison")
    assert (poison["reason"], poison["failedAttempts"]) == ("BackoffLimitExceeded", 1)
    assert "the attempts are numbered up to " in poison["message"]
