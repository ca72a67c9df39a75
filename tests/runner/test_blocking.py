"""A node that blocks the event loop is named in the log, in one line, and once."""

from __future__ import annotations

from pathlib import Path

from relayrun_core.database import Database
from tests.runner.processes import runner_process, write_agent
from tests.runner.runs import accepted
from tests.support.waiting import until

AGENT = """
import threading
from typing import TypedDict

from langgraph.graph import StateGraph

class State(TypedDict, total=False):
    n: int

def wait_for(seconds):
    threading.Event().wait(seconds)

async def slow(state: State):
    wait_for(2.5)

async def slower(state: State):
    wait_for(2.5)
    return {"n": 1}

builder = StateGraph(State).add_node(slow).add_node(slower)
graph = builder.add_edge("__start__", "slow").add_edge("slow", "slower").compile()
"""
WORDS = "the event loop has been blocked for"


async def test_a_node_that_blocks_is_named_in_one_line_and_once(tmp_path: Path, database: Database) -> None:
    config = write_agent(tmp_path / "agent", AGENT)
    async with runner_process(config, database.url) as runner:
        await runner.wait_ready()
        for _ in range(2):
            run = await accepted(database, "agent", input={})
            assert (await runner.put(run)).status_code == 202
            await runner.wait_state(run, "Finished")
        named = [line for line in runner.log().splitlines() if WORDS in line and "by node" in line]
        place = config.with_name("agent.py")
        assert [line.partition(" s by ")[2].partition(";")[0] for line in named] == [
            f"node slow, at {place}:11 in wait_for",
            f"node slower, at {place}:11 in wait_for",
        ]
        runner.terminate()
        await until(lambda: runner.process.poll() is not None)
