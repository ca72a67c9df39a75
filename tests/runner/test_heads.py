"""The newest state as a finish keeps it, beside what a runner says of the same checkpoint: byte for byte the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from relayrun_core.db.finish import finish_from_outside, read_outcome
from relayrun_core.db.heads import newest_state
from relayrun_core.db.retention import prune_threads
from relayrun_core.db.runs import request_cancel
from relayrun_core.db.thread_copy import copy_thread
from relayrun_core.runs import Outcome
from relayrun_core.states import CancelAction, Reason
from tests.runner.ends import Place
from tests.runner.runs import accepted

STOPPED = Outcome(Reason.CANCELLED, "nobody waits for it")


@pytest.mark.parametrize(
    ("graph", "spec"),
    [
        ("plain", {}),
        ("plain", {"metadata": {"zz": 1, "a": {"y": 2, "x": 3}}, "config": {"configurable": {"thing": "x"}}}),
        ("plain", {"durability": "exit"}),
        ("plain", {"durability": "async"}),
        ("plain", {"interrupt_before": ["hide"]}),
        ("plain", {"interrupt_after": ["step"]}),
        ("talk", {"given": {"messages": [{"role": "user", "content": "hi", "id": "h1"}]}}),
        ("asks", {}),
        ("asks", {"durability": "exit"}),
        ("many", {}),
        ("fails", {}),
        ("half", {}),
        ("nested", {}),
        ("private", {}),
        ("private_asks", {}),
        ("function", {"given": "word"}),
        ("function_asks", {"given": "word"}),
        ("function_asks", {"given": "word", "durability": "async"}),
        ("nested", {"durability": "exit"}),
        ("half", {"durability": "async"}),
        ("made", {}),
    ],
)
async def test_a_finish_keeps_what_a_runner_says(place: Place, graph: str, spec: dict[str, Any]) -> None:
    thread_id = uuid4()
    await place.run(graph, thread_id, **spec)
    kept = await place.kept(thread_id)
    assert kept == await place.told(thread_id)
    assert orjson.loads(kept)["checkpoint"]["thread_id"] == str(thread_id)
    copy = await copy_thread(place.database, thread_id, uuid4())
    assert await place.kept(copy.thread_id) == await place.told(copy.thread_id)
    again = await copy_thread(place.database, copy.thread_id, uuid4())
    assert await place.kept(again.thread_id) == await place.told(again.thread_id)


async def test_a_graph_made_for_each_question_may_be_told_by_another(place: Place) -> None:
    known, made = uuid4(), uuid4()
    await place.run("plain", known)
    await place.run("made", made)
    newest = [await newest_state(place.database, thread_id) for thread_id in (known, made)]
    assert [each and each.made_by for each in newest] == ["default/plain@", None]


async def test_it_goes_with_the_thread_through_answers_edits_and_further_runs(place: Place) -> None:
    thread_id = uuid4()
    await place.run("asks", thread_id)
    await place.edit(thread_id, values={"did": ["edited"], "a": 2.5}, as_node="step")
    assert await place.kept(thread_id) == await place.told(thread_id)
    await place.edit(thread_id, values={"zebra": {"b": 1, "aa": 2}})
    assert await place.kept(thread_id) == await place.told(thread_id)
    copy = await copy_thread(place.database, thread_id, uuid4())
    assert await place.kept(copy.thread_id) == await place.told(copy.thread_id)
    await place.run("asks", thread_id, {"did": ["anew"]})
    assert await place.kept(thread_id) == await place.told(thread_id)
    await place.run("asks", thread_id, command={"resume": "yes"})
    kept = await place.kept(thread_id)
    assert kept == await place.told(thread_id)
    assert orjson.loads(kept)["next"] == []


async def test_large_values_of_edits_and_copies_are_kept_once(place: Place) -> None:
    thread_id = uuid4()
    await place.run("asks", thread_id, {"did": ["x" * (1 << 20)]})
    kept = await place.kept(thread_id)
    assert kept == await place.told(thread_id)
    copy = await copy_thread(place.database, thread_id, uuid4())
    await place.edit(thread_id, values={"zebra": {"b": 1, "aa": 2}}, as_node="step")
    for each in (copy.thread_id, thread_id):
        row = await place.database.fetch_one("SELECT head_values FROM threads WHERE thread_id = %s", (each,))
        assert row == {"head_values": None}
        kept = await place.kept(each)
        assert kept is not None
        assert orjson.loads(kept) == orjson.loads(await place.told(each))


async def test_a_rollback_brings_it_back(place: Place, tmp_path: Path) -> None:
    thread_id = uuid4()
    await place.run("asks", thread_id)
    before = await place.kept(thread_id)
    run_id = await place.holding(thread_id, tmp_path / "gate")
    newest = await newest_state(place.database, thread_id)
    assert newest is not None
    assert newest.busy
    await request_cancel(place.database, run_id, CancelAction.ROLLBACK)
    await place.runner.delete(run_id, action="rollback")
    await place.runner.wait_state(run_id, "Finished")
    assert before is not None
    assert await place.kept(thread_id) == before == await place.told(thread_id, graph="asks")


async def test_a_cancel_keeps_what_was_reached(place: Place, tmp_path: Path) -> None:
    thread_id = uuid4()
    run_id = await place.holding(thread_id, tmp_path / "gate")
    await request_cancel(place.database, run_id, CancelAction.INTERRUPT)
    await place.runner.delete(run_id)
    await place.runner.wait_state(run_id, "Finished")
    kept = await place.kept(thread_id)
    assert kept == await place.told(thread_id)
    assert orjson.loads(kept)["next"] == ["hold"]


async def test_a_run_that_never_began_changes_nothing(place: Place) -> None:
    thread_id = uuid4()
    await place.run("asks", thread_id)
    before = await place.kept(thread_id)
    waiting = await accepted(place.database, "asks", thread_id=thread_id, input={})
    await request_cancel(place.database, waiting, CancelAction.INTERRUPT)
    assert before is not None
    assert await place.kept(thread_id) == before == await place.told(thread_id)


async def test_nothing_is_kept_of_a_state_that_nobody_told(place: Place, tmp_path: Path) -> None:
    thread_id = uuid4()
    await place.run("asks", thread_id)
    run_id = await place.holding(thread_id, tmp_path / "gate")
    await finish_from_outside(place.database, run_id, STOPPED)
    assert await place.kept(thread_id) is None
    (tmp_path / "gate").touch()
    await place.run("plain", thread_id)
    assert await place.kept(thread_id) == await place.told(thread_id)


async def test_pruned_checkpoints_take_it_with_them(place: Place) -> None:
    thread_id = uuid4()
    await place.run("plain", thread_id)
    assert await prune_threads(place.database, [thread_id], "keep_latest", owner=None, any_owner=True) == 1
    assert await place.kept(thread_id) is None
    assert orjson.loads(await place.told(thread_id))["parent_checkpoint"] is None


async def test_a_version_that_knows_nothing_of_it_leaves_nothing_false(place: Place) -> None:
    thread_id = uuid4()
    await place.run("asks", thread_id)
    await place.database.execute(
        "UPDATE threads SET values = '{}', interrupts = '[]', status = 'idle' WHERE thread_id = %s", (thread_id,)
    )
    assert await place.kept(thread_id) is None


async def test_with_the_journal_gone_it_is_as_postgres_has_it(place: Place) -> None:
    thread_id = uuid4()
    run_id = await place.run("asks", thread_id)
    await place.database.execute("DELETE FROM run_outcomes WHERE run_id = %s", (run_id,))
    kept = await place.kept(thread_id)
    assert kept is not None
    assert orjson.loads(kept) == orjson.loads(await place.told(thread_id))
    outcome = await read_outcome(place.database, run_id)
    assert outcome is not None
    assert [question["value"] for question in outcome.questions] == [{"zz": "one?", "a": 1}]
