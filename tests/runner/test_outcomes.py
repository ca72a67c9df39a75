"""How runs end, for those who wait for them, and what streams tell of a graph's private state."""

from __future__ import annotations

import operator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import orjson
import pytest
from langgraph.channels import EphemeralValue
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.pregel import NodeBuilder, Pregel

from relayrun_core.db.finish import read_outcome, read_output
from relayrun_core.db.journal import read_events
from relayrun_core.db.retention import forget_old_events
from relayrun_core.db.threads import get_thread
from relayrun_core.ids import new_run_id
from relayrun_core.runs import OutputKeys, select_output
from relayrun_runner.graphs.loading import Graph
from relayrun_runner.threads.snapshots import output_keys
from tests.runner.ends import GIVEN, Place
from tests.support.waiting import until


async def test_outcomes_go_with_the_journals(place: Place) -> None:
    thread_id = uuid4()
    run_id = await place.run("plain", thread_id)
    await place.database.execute(
        "UPDATE runs SET finished_at = now() - interval '400 days' WHERE run_id = %s", (run_id,)
    )
    await forget_old_events(place.database, timedelta(days=300))
    assert await read_output(place.database, run_id) is None
    outcome = await read_outcome(place.database, run_id)
    thread = await get_thread(place.database, thread_id)
    assert outcome is not None
    assert thread is not None
    assert orjson.loads(outcome.values) == thread.values


async def test_a_run_tells_the_output_of_its_graph_alone(place: Place) -> None:
    for graph, status in (("private", "success"), ("private_asks", "interrupted")):
        thread_id = uuid4()
        run_id = await place.run(graph, thread_id)
        outcome = await read_outcome(place.database, run_id)
        thread = await get_thread(place.database, thread_id)
        assert outcome is not None
        assert thread is not None
        assert outcome.status.value == status
        assert orjson.loads(outcome.values).keys() == {"did"}
        # As the Agent Server's, whose state and thread tell everything.
        assert thread.values["secret"] == "password"
        assert orjson.loads(await place.told(thread_id))["values"]["secret"] == "password"
        assert orjson.loads(await place.told(thread_id, output=True))["values"].keys() == {"did"}


async def test_each_run_keeps_its_own_outcome(place: Place) -> None:
    thread_id = uuid4()
    first = await place.run("plain", thread_id, {"did": ["one"]})
    paused = await place.run("many", thread_id, {"did": ["__interrupt__"]})
    await place.run("plain", thread_id, {"did": ["three"]})
    outcomes = [await read_outcome(place.database, run_id) for run_id in (first, paused)]
    values = [orjson.loads(outcome.values)["did"] for outcome in outcomes if outcome]
    assert values == [["one", "step", "hid"], ["one", "step", "hid", "__interrupt__", "step"]]
    asked = [question["value"] for outcome in outcomes if outcome for question in outcome.questions]
    assert asked == [{"zz": "one?", "a": 1}, "two?"]


# Where the Agent Server tells a graph's private state, because what is asked for is how the graph works.
_INSIDE = ("debug", "tasks", "checkpoints", "events")


@pytest.mark.parametrize("graph", ["private", "around"])
@pytest.mark.parametrize("mode", ["values", "updates", "messages", "messages-tuple", "custom", *_INSIDE])
async def test_streams_tell_the_output_alone(place: Place, graph: str, mode: str) -> None:
    run_id = await place.run(graph, uuid4(), stream_modes=[mode], stream_subgraphs=True)
    events = await read_events(place.database, run_id, -1)
    assert events[-1].event == "end"
    assert any(b"password" in event.data for event in events) == (mode in _INSIDE)
    if mode == "values":
        values = [orjson.loads(event.data) for event in events if event.event.startswith("values")]
        assert values[-1]["did"][-2:] == ["step", "hid"]
        assert {key for each in values for key in each} == {"did"}


async def test_who_asks_for_what_the_agent_server_tells_whole_is_told_whole(place: Place) -> None:
    for mode in ("events", "lifecycle"):
        run_id = await place.run("private", uuid4(), stream_modes=["values", mode])
        values = [event.data for event in await read_events(place.database, run_id, -1) if event.event == "values"]
        assert b"password" in values[-1]
        outcome = await read_outcome(place.database, run_id)
        assert outcome is not None
        assert b"password" not in outcome.values


async def test_a_later_attempt_tells_no_more_than_the_first(place: Place, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    modes = ["values", "updates", "custom"]
    given = {**GIVEN, "gate": str(gate)}
    run_id = await place.start("private_holds", uuid4(), input=given, stream_modes=modes)
    await until(lambda: Path(f"{gate}.entered").exists())
    await place.runner.delete(run_id, action="abandon")
    await place.runner.wait_state(run_id, "Abandoned")
    assert (await place.runner.put(run_id, 2, excused=True)).status_code == 202
    gate.touch()
    await place.runner.wait_state(run_id, "Finished")
    events = await read_events(place.database, run_id, -1)
    assert {event.attempt for event in events} == {1, 2}
    assert not any(b"password" in event.data for event in events)
    outcome = await read_outcome(place.database, run_id)
    assert outcome is not None
    assert orjson.loads(outcome.values) == {"did": ["given", "hid", "held"]}


async def test_an_agentrun_is_told_the_output_alone(place: Place) -> None:
    run_id, thread_id = new_run_id(), uuid4()
    create = {"thread_id": str(thread_id), "agent": "default", "spec": {"input": GIVEN}}
    assert (await place.runner.put(run_id, graph="private", create=create)).status_code == 202
    ended = await place.runner.wait_state(run_id, "Finished")
    output = {"did": ["given", "step", "hid"]}
    assert ended["outcome"]["output"] == output
    await place.run("private", thread_id)  # the thread has gone on
    again = (await place.runner.put(run_id, 2, graph="private", create=create)).json()
    assert again["outcome"]["output"] == output


class Shown(TypedDict, total=False):
    shown: str


class Whole(Shown, total=False):
    hidden: str


def _graph(state: Any, **more: Any) -> Graph:
    return StateGraph(state, **more).add_node("node", lambda _: None).add_edge(START, "node").compile()


@entrypoint()
def _function(word: str) -> str:
    return word


TELLS: dict[str, tuple[Graph, OutputKeys]] = {
    "everything": (_graph(Whole), None),
    "an output schema": (_graph(Whole, output_schema=Shown), ["shown"]),
    "everything, by another schema": (_graph(Whole, output_schema=Whole), None),
    "a value that is no object": (_graph(Annotated[list[str], operator.add]), None),
    "a function": (_function, None),
    "one channel of several": (
        Pregel(
            nodes={"node": NodeBuilder().subscribe_only("shown").write_to("out")},
            channels={"shown": EphemeralValue(str), "out": EphemeralValue(str)},
            input_channels="shown",
            output_channels="out",
        ),
        "out",
    ),
}


@pytest.mark.parametrize("name", TELLS)
def test_what_a_graph_tells_of_its_state(name: str) -> None:
    graph, keys = TELLS[name]
    assert output_keys(graph) == keys


@pytest.mark.parametrize(
    ("keys", "output"),
    [
        (None, {"a": 1, "b": 2}),
        (["b", "c"], {"b": 2}),
        ([], {}),
        ("a", 1),
        ("c", None),
    ],
)
async def test_both_sides_take_the_same_part_of_values(place: Place, keys: OutputKeys, output: Any) -> None:
    assert select_output({"a": 1, "b": 2}, keys) == output
    assert select_output(["no object"], keys) == ["no object"]
    params = (orjson.dumps({"a": 1, "b": 2}).decode(), None if keys is None else orjson.dumps(keys).decode())
    row = await place.database.fetch_one("SELECT relayrun_output_values(%s::jsonb, %s::jsonb) AS told", params)
    assert row == {"told": output}
