"""What a thread keeps of the configurations of its runs' assistants."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from relayrun_core.database import Database
from relayrun_core.db.runs import create_run
from relayrun_core.db.thread_copy import copy_thread
from relayrun_core.db.threads import assistants_configurable
from relayrun_core.runs import NewRun, RunSpec


async def run_with(database: Database, thread: UUID, said: dict[str, Any], **more: Any) -> None:
    spec = RunSpec(config={"configurable": {**said, "own": 1}}, assistant_configurable=said, **more)
    await create_run(database, NewRun(uuid4(), thread, "default", "steps", spec))


async def test_a_thread_keeps_what_assistants_said_the_last_one_over_the_others(database: Database) -> None:
    thread = uuid4()
    for said in ({}, {"kind": "warm", "deep": {"a": 1}}, {}, {"kind": "cold"}, {"deep": {"b": 2}}):
        await run_with(database, thread, said)
    assert await assistants_configurable(database, thread) == {"kind": "cold", "deep": {"b": 2}}


async def test_a_copy_keeps_nothing_of_it(database: Database) -> None:
    thread, copy = uuid4(), uuid4()
    await run_with(database, thread, {"kind": "warm"})
    await copy_thread(database, thread, copy)
    assert await assistants_configurable(database, copy) == {}
    assert await assistants_configurable(database, uuid4()) == {}


async def test_it_does_not_grow_without_an_end(database: Database) -> None:
    thread = uuid4()
    for number in range(4):
        await run_with(database, thread, {f"part-{number}": [str(uuid4()) for _ in range(1000)]})
    assert list(await assistants_configurable(database, thread)) == ["part-2", "part-3"]
