"""Threads as rows with real graphs' checkpoints: copied, and reduced to their newest checkpoint."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import UUID, uuid4

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph

from relayrun_core.database import Database
from relayrun_core.db.retention import prune_threads
from relayrun_core.db.rows import Thread
from relayrun_core.db.thread_copy import copy_thread
from relayrun_core.db.threads import create_thread, get_thread
from relayrun_core.errors import ThreadNotFound
from relayrun_core.runs import BoundAnswer
from relayrun_core.states import ThreadStatus
from tests.runner.agents import entered
from tests.runner.processes import RunnerProcess
from tests.runner.runs import accepted
from tests.support.waiting import until


async def _run(runner: RunnerProcess, database: Database, graph: str, thread_id: UUID, **spec: Any) -> None:
    run_id = await accepted(database, graph, thread_id=thread_id, **spec)
    assert (await runner.put(run_id)).status_code == 202
    await runner.wait_state(run_id, "Finished")


async def _answered(runner: RunnerProcess, database: Database, thread_id: UUID) -> Thread:
    """The thread after an answer to its one question."""
    [asked] = (await _thread(database, thread_id)).interrupts
    answer = BoundAnswer(interrupt_id=asked.id, value="yes", task_id=asked.task_id, answered=asked.answered)
    await _run(runner, database, "asking", thread_id, command={"resume": "yes"}, answers=[answer.model_dump()])
    return await _thread(database, thread_id)


async def _thread(database: Database, thread_id: UUID) -> Thread:
    thread = await get_thread(database, thread_id)
    assert thread is not None
    return thread


async def _history(runner: RunnerProcess, thread_id: UUID, graph: str) -> list[dict[str, Any]]:
    answer = await runner.client.get(f"/threads/{thread_id}/history", params={"graph": graph, "limit": 100})
    assert answer.status_code == 200, answer.text
    history: list[dict[str, Any]] = answer.json()
    return history


async def _rows(database: Database, thread_id: UUID) -> list[set[tuple[Any, ...]]]:
    """The keys of all that LangGraph keeps of a thread."""
    queries = (
        "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id FROM checkpoints WHERE thread_id = %s",
        "SELECT checkpoint_ns, channel, version FROM checkpoint_blobs WHERE thread_id = %s",
        "SELECT checkpoint_ns, checkpoint_id, task_id, idx FROM checkpoint_writes WHERE thread_id = %s",
    )
    found = [await database.fetch_all(query, (str(thread_id),)) for query in queries]
    return [{tuple(row.values()) for row in rows} for rows in found]


async def _keep_latest(database: Database, *thread_ids: UUID) -> int:
    return await prune_threads(database, thread_ids, "keep_latest", owner=None, any_owner=True)


async def test_a_copy_has_all_states_and_goes_its_own_way(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    source, copy = uuid4(), uuid4()
    await create_thread(shared_database, source, owner=None, name="mine", metadata={"k": 1})
    await _run(shared_runner, shared_database, "steps", source, input={"did": ["in"]})
    made = await copy_thread(shared_database, source, copy)
    original = await _thread(shared_database, source)
    assert (made.values, made.metadata, made.status) == (original.values, original.metadata, ThreadStatus.IDLE)
    assert (made.name, made.run_count, made.graph, made.agent) == (None, 0, "steps", "default")
    assert await _rows(shared_database, copy) == await _rows(shared_database, source)
    for mine, theirs in zip(
        await _history(shared_runner, copy, "steps"), await _history(shared_runner, source, "steps"), strict=True
    ):
        assert mine["checkpoint"]["thread_id"] == str(copy)
        assert (mine["values"], mine["next"], mine["checkpoint_id"]) == (
            theirs["values"], theirs["next"], theirs["checkpoint_id"],
        )  # fmt: skip
    await _run(shared_runner, shared_database, "steps", copy, input={"did": ["more"]})
    assert (await _thread(shared_database, copy)).values["did"][:5] == ["in", "first", "wait", "last", "more"]
    assert (await _thread(shared_database, source)).values == original.values


async def test_the_copy_of_a_thread_that_asks_can_be_answered_by_itself(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    source, copy = uuid4(), uuid4()
    await _run(shared_runner, shared_database, "asking", source, input={"did": ["in"]})
    made = await copy_thread(shared_database, source, copy)
    assert made.status == ThreadStatus.INTERRUPTED
    answered = await _answered(shared_runner, shared_database, copy)
    assert (answered.status, answered.values["did"][-2:]) == (ThreadStatus.IDLE, ["yes", "last"])
    waiting = await _thread(shared_database, source)
    assert (waiting.status, len(waiting.interrupts)) == (ThreadStatus.INTERRUPTED, 1)


async def test_a_thread_with_a_run_is_copied_as_it_was_when_the_run_began(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    source, copy, gate = uuid4(), uuid4(), tmp_path / "gate"
    await _run(shared_runner, shared_database, "asking", source, input={"did": ["in"]})
    before = await _rows(shared_database, source)
    run_id = await accepted(shared_database, "steps", thread_id=source, input={"did": ["new"], "gate": str(gate)})
    await shared_runner.put(run_id)
    await until(entered(gate))  # its first step is saved by now
    assert await _rows(shared_database, source) != before
    made = await copy_thread(shared_database, source, copy)
    assert (made.status, made.values) == (ThreadStatus.INTERRUPTED, {"did": ["in"]})
    checkpoints, _, writes = await _rows(shared_database, copy)
    assert (checkpoints, writes) == (before[0], before[2])
    answered = await _answered(shared_runner, shared_database, copy)
    assert answered.values["did"][-2:] == ["yes", "last"]
    gate.touch()
    await shared_runner.wait_state(run_id, "Finished")
    assert (await _thread(shared_database, source)).values["did"][-3:] == ["first", "wait", "last"]


async def test_nothing_is_copied_of_a_thread_that_does_not_exist(shared_database: Database) -> None:
    copy = uuid4()
    with pytest.raises(ThreadNotFound):
        await copy_thread(shared_database, uuid4(), copy)
    assert await get_thread(shared_database, copy) is None


async def test_a_reduced_thread_keeps_what_langgraph_itself_would_keep(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    ours, theirs = uuid4(), uuid4()
    for _ in range(2):  # with a subgraph that was called and is done, and one that waits
        await _run(shared_runner, shared_database, "asking", ours, input={"did": ["in"]})
        await _answered(shared_runner, shared_database, ours)
    await _run(shared_runner, shared_database, "asking", ours, input={"did": ["in"]})
    await copy_thread(shared_database, ours, theirs)
    full = await _rows(shared_database, ours)
    assert await _keep_latest(shared_database, ours) == 1
    await AsyncPostgresSaver(shared_database.pool).aprune([str(theirs)])
    kept = await _rows(shared_database, ours)
    assert kept == await _rows(shared_database, theirs)
    assert len(kept[0]) == 2 < len(full[0])
    assert await _keep_latest(shared_database, ours) == 1
    assert await _rows(shared_database, ours) == kept


async def test_a_reduced_thread_goes_on(shared_runner: RunnerProcess, shared_database: Database) -> None:
    thread_id = uuid4()
    await _run(shared_runner, shared_database, "asking", thread_id, input={"did": ["in"]})
    before = await _thread(shared_database, thread_id)
    assert await _keep_latest(shared_database, thread_id) == 1
    assert len(await _history(shared_runner, thread_id, "asking")) == 1
    reduced = await _thread(shared_database, thread_id)
    assert reduced == before
    answered = await _answered(shared_runner, shared_database, thread_id)
    assert answered.values["did"][-2:] == ["yes", "last"]
    await _run(shared_runner, shared_database, "asking", thread_id, input={"did": ["again"]})
    assert (await _thread(shared_database, thread_id)).values["did"][-1] == "again"


class _Deltas(TypedDict):
    did: Annotated[list[str], DeltaChannel(lambda old, new: [*old, *(item for part in new for item in part)])]
    count: Annotated[int, operator.add]


async def test_a_thread_whose_newest_state_needs_older_checkpoints_keeps_them(shared_database: Database) -> None:
    thread_id = uuid4()
    await create_thread(shared_database, thread_id)
    graph = StateGraph(_Deltas).add_node("a", lambda _: {"did": ["a"], "count": 1}).add_edge(START, "a")
    saver = AsyncPostgresSaver(shared_database.pool)
    compiled = graph.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": str(thread_id)}}
    for _ in range(2):
        await compiled.ainvoke({"did": ["in"], "count": 0}, config)
    before = await _rows(shared_database, thread_id)
    assert await _keep_latest(shared_database, thread_id) == 0
    assert await _rows(shared_database, thread_id) == before
    copy = uuid4()
    await copy_thread(shared_database, thread_id, copy)
    copied = await compiled.aget_state({"configurable": {"thread_id": str(copy)}})
    assert copied.values["did"] == ["in", "a", "in", "a"]
