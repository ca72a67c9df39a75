"""Revisions of an Agent: open threads go on under the one that they began with, until its deadline."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from relayrun_core.ids import new_run_id
from relayrun_core.kinds.agent import UpdateStrategy
from relayrun_core.runs import NewRun, Run, RunSpec
from relayrun_core.states import Reason
from relayrun_operator.kube.revisions import HISTORY, Revision, pinned, superfluous
from tests.operator.kubeworld import KubePlay, kube_world
from tests.support.waiting import until

DAY = 86_400.0
PIN = UpdateStrategy(threads="Pin")

# In the second image every node has another name.
CODE = """
import asyncio, os
from pathlib import Path
from typing import Annotated, TypedDict
import operator
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

HERE = Path(__file__).parent.parent / "agent"


class State(TypedDict, total=False):
    did: Annotated[list[str], operator.add]
    name: str


async def begin(state: State) -> State:
    return {"did": ["begin IMAGE"]}


async def ask(state: State) -> State:
    return {"did": [f"ask IMAGE {interrupt('well?')}"]}


async def end(state: State) -> State:
    name = state.get("name") or ""
    with (HERE / "trace").open("a") as trace:
        trace.write(f"{name} end {os.getpid()}\\n")
    while name and not (HERE / name).exists():
        await asyncio.sleep(0.01)
    return {"did": ["end IMAGE"]}


steps = StateGraph(State).add_node("begin_IMAGE", begin).add_node("ask_IMAGE", ask).add_node("end_IMAGE", end)
steps.add_edge(START, "begin_IMAGE").add_edge("begin_IMAGE", "ask_IMAGE").add_edge("ask_IMAGE", "end_IMAGE")
"""


@pytest.mark.parametrize(
    ("strategy", "replaced_days_ago", "expected"),
    [
        (PIN, None, False),
        (PIN, 0.0, True),
        (PIN, 6.9, True),
        (PIN, 7.1, False),
        (UpdateStrategy(threads="Pin", pin_deadline_seconds=0), 0.0, False),
        (UpdateStrategy(), 0.0, False),
    ],
)
def test_a_replaced_revision_keeps_its_threads_until_the_deadline(
    strategy: UpdateStrategy, replaced_days_ago: float | None, expected: bool
) -> None:
    now = 100 * DAY
    replaced_at = None if replaced_days_ago is None else now - replaced_days_ago * DAY
    revision = Revision("a", 1, {}, 0.0, replaced_at)
    assert bool(pinned([revision], strategy, now)) is expected


def test_the_history_drops_the_oldest_and_none_that_threads_may_need() -> None:
    now = 100 * DAY
    entries = [Revision(f"r{age}", 1, {}, 0.0, now - age * DAY / 4) for age in range(60)]
    entries.append(Revision("current", 1, {}, 0.0))
    dropped = {revision.name for revision in superfluous(entries, PIN, now)}
    assert dropped == {f"r{age}" for age in range(28 + HISTORY, 60)}
    dropped = {revision.name for revision in superfluous(entries, UpdateStrategy(), now)}
    assert dropped == {f"r{age}" for age in range(HISTORY, 60)}


def write_image(folder: Path, image: str) -> Path:
    """An agent whose nodes are named after its image; the path of its `langgraph.json`."""
    folder.mkdir()
    code = folder / f"image_{image}.py"
    code.write_text(CODE.replace("IMAGE", image))
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"dependencies": ["."], "graphs": {"steps": f"{code}:steps"}}))
    return config


async def begin(play: KubePlay, thread: UUID, **state: Any) -> UUID:
    return await play.start_run(thread=thread, did=[], **state)


async def resume(play: KubePlay, thread: UUID) -> UUID:
    new = NewRun(new_run_id(), thread, "default", "steps", RunSpec(command={"resume": "yes"}))
    await play.accept(new)
    return new.run_id


async def paused(play: KubePlay, run_id: UUID) -> Run:
    run = await play.until_finished(run_id)
    assert run.reason is Reason.WAITING_FOR_INPUT, run
    return run


async def did(play: KubePlay, run_id: UUID) -> list[str]:
    run = await play.until_finished(run_id)
    assert run.reason is Reason.SUCCEEDED, run
    row = await play.database.fetch_one("SELECT values FROM threads WHERE thread_id = %s", (run.thread_id,))
    assert row is not None
    done: list[str] = row["values"]["did"]
    return done


def steps_of(image: str) -> list[str]:
    return [f"begin {image}", f"ask {image} yes", f"end {image}"]


def pods_of(play: KubePlay, revision: str) -> list[str]:
    pods = play.server.all("Pod")
    return [p["metadata"]["name"] for p in pods if p["metadata"]["labels"]["relayrun.dev/template"] == revision]


def is_replaced(play: KubePlay, revision: str) -> bool:
    listed = play.status.get("revisions", ())
    return any(entry["name"] == revision and "replacedAt" in entry for entry in listed)


def revision_of(play: KubePlay) -> str:
    return str(play.status.get("currentRevision", ""))


@pytest.mark.timeout(300)  # five runners start, one after the other
async def test_threads_go_on_under_their_revision_through_a_kill_a_new_operator_and_a_rollback(
    tmp_path: Path, database_url: str
) -> None:
    one, two = write_image(tmp_path / "one", "one"), write_image(tmp_path / "two", "two")
    spec: dict[str, Any] = {
        "configPath": str(one),
        "runners": {"min": 1, "max": 2, "spare": 0, "scaleDownDelaySeconds": 0},
        "updateStrategy": {"threads": "Pin"},
    }
    async with kube_world(tmp_path, database_url, runners=1, more=spec) as play:
        waits, runs, back = uuid4(), uuid4(), uuid4()
        old = await paused(play, await begin(play, waits, name="killed"))
        await paused(play, await begin(play, runs, name="running"))
        running = await resume(play, runs)
        await play.until_traced("running", "end")
        first = revision_of(play)
        assert old.revision == first

        play.change_agent(image="the second", configPath=str(two))
        await until(lambda: revision_of(play) not in ("", first), seconds=60)
        second = revision_of(play)
        await until(lambda: is_replaced(play, first), seconds=90)
        fresh = await paused(play, await begin(play, back))
        assert fresh.revision == second, "a new thread begins under the new one"
        play.open_gate("running")
        assert await did(play, running) == steps_of("one")
        assert len(play.traces("running", "end")) == 1, "nobody drained it"
        await until(lambda: pods_of(play, first) == [], seconds=60)

        # Three days later, with another operator.
        await play.operators.kill("first")
        (kept,) = [r for r in play.server.all("ControllerRevision") if r["metadata"]["name"] == f"default-{first}"]
        path = f"/apis/apps/v1/namespaces/team/controllerrevisions/{kept['metadata']['name']}"
        days_ago = {"relayrun.dev/replaced-at": "2026-01-01T00:00:00Z"}
        play.server.merge(path, {"metadata": {"annotations": days_ago}})
        play.change_agent(updateStrategy={"threads": "Pin", "pinDeadlineSeconds": 2_000_000_000})
        play.task = await play.operators.start("second")
        resumed = await resume(play, waits)
        (pid,) = await play.until_traced("killed", "end")
        assert (await play.run(resumed)).revision == first
        assert len(pods_of(play, first)) == 1, "its next run has woken it"
        os.kill(pid, signal.SIGKILL)
        await play.until_traced("killed", "end", 2)
        play.open_gate("killed")
        assert await did(play, resumed) == steps_of("one")
        assert (await play.run(resumed)).revision == first

        # A rollback is the old revision again, and what began since stays where it is.
        play.change_agent(image="the tests'", configPath=str(one))
        await until(lambda: revision_of(play) == first and is_replaced(play, second), seconds=90)
        assert len(play.server.all("ControllerRevision")) <= 3
        again = await paused(play, await begin(play, uuid4()))
        assert again.revision == first
        assert await did(play, await resume(play, back)) == steps_of("two")
