"""State, history and edits of threads, in the forms of the LangGraph Agent Server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson

from relayrun_core.database import Database
from relayrun_core.db.rows import Ttl
from relayrun_core.db.thread_stream import KEPT_EDITS, Place, edit_behind
from relayrun_core.db.threads import create_thread, get_thread
from relayrun_core.states import ThreadStatus
from tests.runner.processes import RunnerProcess
from tests.runner.runs import accepted

_MOVE = """
UPDATE checkpoints SET checkpoint_id = %(ahead)s, checkpoint = jsonb_set(checkpoint, '{id}', to_jsonb(%(ahead)s::text))
WHERE thread_id = %(thread)s AND checkpoint_id = %(head)s"""


async def _ran(runner: RunnerProcess, database: Database, graph: str, **spec: Any) -> UUID:
    """A thread after one run of a graph."""
    thread_id = uuid4()
    run_id = await accepted(database, graph, thread_id=thread_id, **spec)
    assert (await runner.put(run_id)).status_code == 202
    await runner.wait_state(run_id, "Finished")
    return thread_id


async def _state(runner: RunnerProcess, thread_id: UUID, **params: Any) -> dict[str, Any]:
    answer = await runner.client.get(f"/threads/{thread_id}/state", params=params)
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state


async def test_a_state_has_the_agent_servers_form(shared_runner: RunnerProcess, shared_database: Database) -> None:
    thread_id = await _ran(shared_runner, shared_database, "asking", input={"did": ["in"]})
    state = await _state(shared_runner, thread_id)
    question = {"question": "go on?"}
    assert list(state) == [
        "values", "next", "tasks", "metadata", "created_at", "checkpoint", "parent_checkpoint", "interrupts",
        "checkpoint_id", "parent_checkpoint_id",
    ]  # fmt: skip
    assert state["values"] == {"did": ["in"]}
    assert state["next"] == ["inner"]
    assert [interrupt["value"] for interrupt in state["interrupts"]] == [question]
    assert set(state["interrupts"][0]) == {"id", "value", "response_schema"}
    checkpoint = state["checkpoint"]
    assert (checkpoint["thread_id"], checkpoint["checkpoint_ns"]) == (str(thread_id), "")
    assert checkpoint["checkpoint_id"] == state["checkpoint_id"]
    assert state["parent_checkpoint"]["checkpoint_id"] == state["parent_checkpoint_id"]
    [task] = state["tasks"]
    assert (task["name"], task["path"], task["error"]) == ("inner", ["__pregel_pull", "inner"], None)
    assert (task["state"], task["result"]) == (None, None)
    assert task["checkpoint"] == {"thread_id": str(thread_id), "checkpoint_ns": f"inner:{task['id']}"}


async def test_a_state_with_subgraphs_holds_theirs(shared_runner: RunnerProcess, shared_database: Database) -> None:
    thread_id = await _ran(shared_runner, shared_database, "asking", input={"did": ["in"]})
    [task] = (await _state(shared_runner, thread_id, subgraphs=True))["tasks"]
    assert task["checkpoint"] is None
    inner = task["state"]
    assert (inner["values"], inner["next"]) == ({"did": ["in", "first"]}, ["ask"])
    assert inner["checkpoint"]["checkpoint_ns"] == f"inner:{task['id']}"
    assert set(inner["checkpoint"]["checkpoint_map"]) == {"", f"inner:{task['id']}"}
    asked = await _state(shared_runner, thread_id, checkpoint_ns=f"inner:{task['id']}")
    assert asked == inner


async def test_a_thread_without_a_run_has_an_empty_state(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = uuid4()
    await create_thread(shared_database, thread_id)
    state = await _state(shared_runner, thread_id, graph="steps")
    assert (state["values"], state["next"], state["checkpoint"], state["created_at"]) == ({}, [], None, None)
    unnamed = await shared_runner.client.get(f"/threads/{thread_id}/state")
    assert (unnamed.status_code, "steps, asking, stuck" in unnamed.json()["message"]) == (400, True)
    unknown = await shared_runner.client.get(f"/threads/{thread_id}/state", params={"graph": "other"})
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "UnknownGraph")
    nobody = await shared_runner.client.get(f"/threads/{uuid4()}/state", params={"graph": "steps"})
    assert (nobody.status_code, nobody.json()["reason"]) == (404, "ThreadNotFound")


async def test_history_is_newest_first_and_can_be_paged_and_filtered(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = await _ran(shared_runner, shared_database, "steps", input={"did": ["in"]})
    history = (await shared_runner.client.get(f"/threads/{thread_id}/history")).json()
    assert [entry["next"] for entry in history] == [[], ["last"], ["wait"], ["first"], ["__start__"]]
    assert history[1]["tasks"][0]["result"] == {"did": ["last"]}
    body = {"limit": 2, "before": {"configurable": history[1]["checkpoint"]}}
    page = (await shared_runner.client.post(f"/threads/{thread_id}/history", json=body)).json()
    assert page == history[2:4]
    body = {"metadata": {"step": 0}}
    assert (await shared_runner.client.post(f"/threads/{thread_id}/history", json=body)).json() == [history[3]]
    past = await _state(shared_runner, thread_id, checkpoint_id=history[2]["checkpoint_id"])
    assert past["values"] == {"did": ["in", "first"]}


async def test_an_edit_writes_a_checkpoint_and_the_threads_row(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = await _ran(shared_runner, shared_database, "steps", input={"did": ["in"]})
    before = await _state(shared_runner, thread_id)
    body = {"values": {"did": ["edited"]}, "as_node": "first"}
    answer = await shared_runner.client.post(f"/threads/{thread_id}/state", json=body)
    assert answer.status_code == 200, answer.text
    after = await _state(shared_runner, thread_id)
    assert answer.json()["checkpoint"] == after["checkpoint"]
    assert after["parent_checkpoint"] == before["checkpoint"]
    assert (after["values"]["did"], after["next"]) == (["in", "first", "wait", "last", "edited"], ["wait"])
    assert after["metadata"]["source"] == "update"
    assert after["metadata"]["graph_id"] == "steps"
    thread = await get_thread(shared_database, thread_id)
    assert thread is not None
    assert thread.values["did"][-1] == "edited"


async def test_an_edit_asked_for_again_is_made_once_and_answered_alike(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = await _ran(shared_runner, shared_database, "steps", input={"did": ["in"]})
    answers = []
    for edit_id in (first := str(uuid4()), first, str(uuid4()), first):
        body = {"values": {"did": ["edited"]}, "as_node": "last", "edit_id": edit_id}
        answer = await shared_runner.client.post(f"/threads/{thread_id}/state", json=body)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
    assert answers[0] == answers[1] == answers[3] != answers[2]
    state = await _state(shared_runner, thread_id)
    assert state["values"]["did"] == ["in", "first", "wait", "last", "edited", "edited"]
    assert state["checkpoint"] == answers[2]["checkpoint"]
    history = (await shared_runner.client.get(f"/threads/{thread_id}/history")).json()
    assert not [key for entry in history for key in entry["metadata"] if "edit" in key]


async def test_an_edit_of_the_root_withdraws_the_question(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = await _ran(shared_runner, shared_database, "asking", input={"did": ["in"]})
    waiting = await get_thread(shared_database, thread_id)
    assert waiting is not None
    assert (waiting.status, len(waiting.interrupts)) == (ThreadStatus.INTERRUPTED, 1)
    body = {"values": {"did": ["instead"]}, "as_node": "inner"}
    assert (await shared_runner.client.post(f"/threads/{thread_id}/state", json=body)).status_code == 200
    edited = await get_thread(shared_database, thread_id)
    assert edited is not None
    assert edited.interrupts == ()
    assert (await _state(shared_runner, thread_id))["next"] == ["last"]


async def test_an_edit_of_a_subgraph_keeps_the_question_open(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = await _ran(shared_runner, shared_database, "asking", input={"did": ["in"]})
    [task] = (await _state(shared_runner, thread_id))["tasks"]
    body = {"values": {"did": ["inside"]}, "as_node": "first", "checkpoint": task["checkpoint"]}
    answer = await shared_runner.client.post(f"/threads/{thread_id}/state", json=body)
    assert answer.status_code == 200, answer.text
    [task] = (await _state(shared_runner, thread_id, subgraphs=True))["tasks"]
    assert task["state"]["values"]["did"] == ["in", "first", "inside"]


async def test_an_edit_waits_for_no_run_but_is_refused_while_one_is_unfinished(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    thread_id, gate = uuid4(), tmp_path / "gate"
    run_id = await accepted(shared_database, thread_id=thread_id, input={"gate": str(gate)})
    url, body = f"/threads/{thread_id}/state", {"graph": "steps", "values": {"did": ["x"]}, "as_node": "first"}
    pending = await shared_runner.client.post(url, json=body)
    assert (pending.status_code, pending.json()["reason"]) == (409, "ThreadBusy")
    await shared_runner.put(run_id)
    running = await shared_runner.client.post(url, json=body)
    assert (running.status_code, running.json()["reason"]) == (409, "ThreadBusy")
    gate.touch()
    await shared_runner.wait_state(run_id, "Finished")
    assert (await shared_runner.client.post(url, json=body)).status_code == 200


async def test_an_edit_counts_although_the_thread_was_last_written_by_a_clock_that_is_ahead(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = await _ran(shared_runner, shared_database, "steps", input={})
    head = (await _state(shared_runner, thread_id))["checkpoint_id"]
    # Its first eight digits count units of 27 seconds.
    ahead = f"{int(head[:8], 16) + 100:08x}{head[8:]}"
    moved = {"thread": str(thread_id), "head": head, "ahead": ahead}
    assert await shared_database.execute(_MOVE, moved) == 1
    edited = await shared_runner.client.post(f"/threads/{thread_id}/state", json={"values": {"did": ["edited"]}})
    assert edited.status_code == 200, edited.text
    assert edited.json()["checkpoint_id"] > ahead
    assert (await _state(shared_runner, thread_id))["values"]["did"][-1] == "edited"


async def test_a_refused_edit_changes_nothing(shared_runner: RunnerProcess, shared_database: Database) -> None:
    thread_id = await _ran(shared_runner, shared_database, "steps", input={"did": ["in"]})
    before = await _state(shared_runner, thread_id)
    for body in ({"values": {"did": ["x"]}, "as_node": "nobody"}, {"values": {"did": 7}, "as_node": "first"}):
        answer = await shared_runner.client.post(f"/threads/{thread_id}/state", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (400, "Invalid"), answer.text
    assert await _state(shared_runner, thread_id) == before


def _superstep(as_node: str, values: Any = None, **more: Any) -> dict[str, Any]:
    return {"updates": [{"values": values, "as_node": as_node, **more}]}


async def test_a_thread_begins_with_the_state_of_its_supersteps(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = uuid4()
    body = {
        "graph": "steps",
        "owner": "alice",
        "name": "diary",
        "metadata": {"graph_id": "steps"},
        "ttl_minutes": 5,
        "ttl_strategy": "keep_latest",
        "supersteps": [
            _superstep("__input__", {"did": ["in"]}),
            _superstep("__start__", {"did": ["in"]}),
            _superstep("first", command={"update": {"did": ["commanded"]}, "goto": "last"}),
        ],
    }
    answer = await shared_runner.client.post(f"/threads/{thread_id}", json=body)
    assert (answer.status_code, answer.json()) == (200, {"created": True}), answer.text
    thread = await get_thread(shared_database, thread_id)
    assert thread is not None
    assert (thread.owner, thread.name, thread.metadata) == ("alice", "diary", {"graph_id": "steps"})
    assert (thread.status, thread.values) == (ThreadStatus.INTERRUPTED, {"did": ["in", "commanded"]})
    assert thread.ttl == Ttl(5, "keep_latest")
    state = await _state(shared_runner, thread_id, graph="steps")
    assert (state["values"], set(state["next"])) == ({"did": ["in", "commanded"]}, {"wait", "last"})
    history = await shared_runner.client.get(f"/threads/{thread_id}/history", params={"graph": "steps"})
    assert len(history.json()) == 3
    again = await shared_runner.client.post(f"/threads/{thread_id}", json=body | {"owner": "bob"})
    assert (again.status_code, again.json()) == (200, {"created": False})
    assert await get_thread(shared_database, thread_id) == thread


async def test_supersteps_that_a_graph_refuses_leave_no_thread(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    good = _superstep("first", {"did": ["x"]})
    for refused in (
        _superstep("nobody", {"did": ["x"]}),
        _superstep("first", {"did": 7}),
        _superstep("first", command={"goto": [{"input": {}}]}),
        {"updates": []},
    ):
        thread_id = uuid4()
        body = {"graph": "steps", "supersteps": [good, refused]}
        answer = await shared_runner.client.post(f"/threads/{thread_id}", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (400, "Invalid"), answer.text
        assert await get_thread(shared_database, thread_id) is None
        left = await shared_database.fetch_all("SELECT 1 FROM checkpoints WHERE thread_id = %s", (str(thread_id),))
        assert left == []


async def test_edits_are_kept_for_who_follows_the_thread_and_the_oldest_are_forgotten(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = await _ran(shared_runner, shared_database, "steps", input={"did": ["in"]})
    for number in range(KEPT_EDITS + 2):
        body = {"values": {"did": [str(number)]}, "as_node": "last"}
        assert (await shared_runner.client.post(f"/threads/{thread_id}/state", json=body)).status_code == 200
    place, told = Place(1), []
    while edit := await edit_behind(shared_database, thread_id, place):
        place = Place(1, edit.seq)
        told.append(orjson.loads(edit.data))
    assert [entry["state"]["values"]["did"][-1] for entry in told] == [str(n) for n in range(2, KEPT_EDITS + 2)]
    assert told[-1] == {"state": await _state(shared_runner, thread_id), "thread_id": str(thread_id)}
