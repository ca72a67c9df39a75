"""kill -9 of the runner that the API has asked a question, in the middle of the agent's own code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psutil
import pytest

from tests.support.crash import settle
from tests.support.gated import Call, Place
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(240)]

DONE = ["first", "held", "last"]
EDIT = {"values": {"done": ["edited"]}, "as_node": "last"}
Ask = Callable[[Place, str], Awaitable[httpx.Response]]


def get(path: str) -> Ask:
    return lambda place, thread: place.http.get(path.format(t=thread))


def post(path: str, body: dict[str, Any]) -> Ask:
    return lambda place, thread: place.http.post(path.format(t=thread), json=body)


def edited(place: Place, thread: str) -> Awaitable[httpx.Response]:
    return place.http.post(f"/threads/{thread}/state", json=EDIT)


MAKE = {
    "metadata": {"graph_id": "made"},
    "supersteps": [{"updates": [{"values": {"call": "x", "done": ["made"]}, "as_node": "last"}]}],
}
#: Each with what its answer must have.
QUESTIONS: dict[str, tuple[Ask, Callable[[Any], bool]]] = {
    "state": (get("/threads/{t}/state"), lambda said: said["values"]["done"] == DONE),
    "history": (get("/threads/{t}/history"), lambda said: said[0]["values"]["done"] == DONE),
    "searched history": (post("/threads/{t}/history", {"limit": 1}), lambda said: len(said) == 1),
    "command": (
        post("/threads/{t}/commands", {"id": 1, "method": "state.get"}),
        lambda said: said["result"]["values"]["done"] == DONE,
    ),
    "edit": (edited, lambda said: bool(said["checkpoint_id"])),
    "new thread": (post("/threads", MAKE), lambda said: said["values"]["done"] == ["made"]),
    "drawing": (get("/assistants/made/graph"), lambda said: len(said["nodes"]) == 5),
    "drawing inside": (get("/assistants/made/graph?xray=2"), lambda said: len(said["nodes"]) == 5),
    "schemas": (get("/assistants/made/schemas"), lambda said: "call" in said["state_schema"]["properties"]),
    "subgraphs": (get("/assistants/made/subgraphs"), lambda said: said == {}),
}


@pytest.fixture
async def runners(place: Place) -> list[psutil.Process]:
    """Two that are ready."""
    found: list[psutil.Process] = []

    def both() -> bool:
        found[:] = place.dev.ready_runners()
        return len(found) == 2

    await until(both)
    return found


async def ran(place: Place, thread: str) -> str:
    """A thread with a finished run of the graph `made`; its UUID."""
    call = Call(place, thread, "made")
    (place.folder / f"{thread}.open").touch()
    assert (await call.wait("POST", f"{call.thread}/runs/wait", call.body()))["done"] == DONE
    return call.path.split("/")[2]


def held(place: Place) -> int:
    """How often a process was held."""
    return place.begun("made").count("held")


def hold(place: Place, *processes: psutil.Process) -> None:
    (place.folder / "hold").write_text(" ".join(str(process.pid) for process in processes))


async def asked_of_the_held(place: Place, ask: Ask, thread: str) -> tuple[asyncio.Task[httpx.Response], int]:
    """A question that a process was held with, and how many it was not, for they were another's turn."""
    for others in range(4):
        before = held(place)
        task = asyncio.ensure_future(ask(place, thread))
        await until(lambda task=task, before=before: task.done() or held(place) > before)  # type: ignore[misc]
        if not task.done():
            return task, others
        assert (await task).status_code == 200, task.result().text
    raise AssertionError("no runner is held")


async def test_another_runner_answers(place: Place, runners: list[psutil.Process]) -> None:
    threads = {name: await ran(place, f"thread of {name}") for name in QUESTIONS}
    hold(place, runners[0])
    tasks = {name: await asked_of_the_held(place, ask, threads[name]) for name, (ask, _) in QUESTIONS.items()}
    try:
        runners[0].kill()
        answers = {name: await asyncio.wait_for(task, 60) for name, (task, _) in tasks.items()}
    finally:
        await settle(*(task for task, _ in tasks.values()))
    for name, answer in answers.items():
        assert answer.status_code == 200, (name, answer.text)
        assert QUESTIONS[name][1](answer.json()), (name, answer.text)
    state = (await place.http.get(f"/threads/{threads['edit']}/state")).json()
    assert state["values"]["done"] == [*DONE, *["edited"] * (tasks["edit"][1] + 1)]


async def test_an_edit_whose_answer_was_lost_is_not_made_twice(place: Place, runners: list[psutil.Process]) -> None:
    thread = await ran(place, "an edit")
    (place.folder / "bomb").touch()
    answer = await edited(place, thread)
    assert not (place.folder / "bomb").exists()
    assert answer.status_code == 200, answer.text
    state = (await place.http.get(f"/threads/{thread}/state")).json()
    assert state["values"]["done"] == [*DONE, "edited"]
    assert state["checkpoint"] == answer.json()["checkpoint"]
    history = (await place.http.get(f"/threads/{thread}/history")).json()
    assert [entry["metadata"]["source"] for entry in history].count("update") == 1
    await until(lambda: not all(runner.is_running() for runner in runners))


async def test_with_all_runners_gone_the_answer_is_503_or_what_is_known(
    place: Place, runners: list[psutil.Process]
) -> None:
    threads = {name: await ran(place, f"last thread of {name}") for name in QUESTIONS}
    hold(place, *runners)
    tasks = {name: asyncio.ensure_future(ask(place, threads[name])) for name, (ask, _) in QUESTIONS.items()}
    try:
        before = held(place)
        await until(lambda: held(place) - before >= 2)
        for runner in runners:
            runner.suspend()
        for runner in runners:
            runner.kill()
        answers = {name: await asyncio.wait_for(task, 60) for name, task in tasks.items()}
    finally:
        await settle(*tasks.values())
    for name, answer in answers.items():
        if answer.status_code == 503:
            assert (answer.json()["code"], answer.headers["retry-after"]) == ("no_runner", "1"), name
        else:
            assert answer.status_code == 200, (name, answer.text)
    assert {answers[name].status_code for name in ("drawing", "schemas", "subgraphs")} == {200}
    state = (await place.http.get(f"/threads/{threads['edit']}")).json()
    assert state["values"]["done"] == ([*DONE, "edited"] if answers["edit"].status_code == 200 else DONE)
