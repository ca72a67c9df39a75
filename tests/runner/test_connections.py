"""A runner needs a connection only while it reads or writes: few are enough for many runs, and none waits for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database
from relayrun_core.db.runs import get_run
from relayrun_core.states import Reason
from relayrun_runner.config.load import load_config
from relayrun_runner.langgraph_tables import setup
from relayrun_runner.process.shares import ConnectionShares
from relayrun_runner.store.vectors import open_store
from tests.runner.processes import RunnerProcess, runner_process, write_agent
from tests.runner.runs import accepted
from tests.runner.test_store import INDEX
from tests.support.connections import counting
from tests.support.waiting import until_it_is

SLOTS = 10
BUSY = """
import asyncio, operator
from typing import Annotated, TypedDict

from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    name: str
    rounds: Annotated[list[int], operator.add]


async def work(state: State) -> State:
    store, write = get_store(), get_stream_writer()
    for number in range(5):
        write({"n": number, "text": "x" * 200})
        await store.aput((state["name"],), str(number), {"n": number})
    await asyncio.gather(*(store.asearch((state["name"],)) for _ in range(3)))
    return {"rounds": [len(state.get("rounds", []))]}


async def again(state: State) -> str:
    await asyncio.sleep(0.01)  # also while an edit of the thread holds its connection
    return END if len(state["rounds"]) >= 12 else "work"


graph = StateGraph(State).add_node("work", work).add_edge(START, "work").add_conditional_edges("work", again).compile()
"""


async def look_on(runner: RunnerProcess, threads: list[str]) -> None:
    """What clients ask meanwhile: histories, states, and the store."""
    while True:
        for thread in threads:
            asked = [
                runner.client.get(f"/threads/{thread}/history", params={"graph": "agent"}),
                runner.client.get(f"/threads/{thread}/state", params={"graph": "agent"}),
                runner.client.post("/store/search", json={"namespace_prefix": []}),
            ]
            assert all(answer.status_code == 200 for answer in await asyncio.gather(*asked))


async def all_end(runner: RunnerProcess, database: Database, number: int) -> None:
    names = [str(uuid4()) for _ in range(number)]
    runs = [await accepted(database, "agent", input={"name": name}, stream_mode=["custom"]) for name in names]
    threads = [str(run.thread_id) for run_id in runs if (run := await get_run(database, run_id))]
    onlooker = asyncio.create_task(look_on(runner, threads))
    await asyncio.gather(*(runner.put(run_id) for run_id in runs))
    for run_id in runs:
        await runner.wait_state(run_id, "Finished", seconds=120)
    for run_id in runs:
        run = await get_run(database, run_id)
        assert run is not None
        assert run.reason is Reason.SUCCEEDED, (run, runner.log())
    onlooker.cancel()
    await asyncio.wait([onlooker])
    assert onlooker.cancelled(), onlooker.exception()
    edits = [
        runner.client.post(
            f"/threads/{thread}/state",
            json={"graph": "agent", "values": {"rounds": [7]}, "as_node": "work"},
            timeout=60,
        )
        for thread in threads
    ]
    for answer in await asyncio.gather(*edits):
        assert answer.status_code == 200, answer.text


async def test_a_runner_with_ten_runs_has_at_most_eight_connections_and_few_at_rest(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    config = write_agent(tmp_path / "busy", BUSY, graphs={"agent": "./agent.py:graph"})
    async with (
        runner_process(config, database_url, slots=SLOTS, database_idle_seconds=1) as runner,
        counting(database_url, "relayrun-runner") as counted,
    ):
        await runner.wait_ready()
        await all_end(runner, database, SLOTS)
        assert counted.most <= 8, counted
        assert counted.most > 2, counted  # it was looked at while they ran

        async def rests() -> bool:
            return await counted.now() <= 4

        await until_it_is(rests)


async def test_the_fewest_connections_are_enough_for_many_runs(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    config = write_agent(tmp_path / "busy", BUSY, graphs={"agent": "./agent.py:graph"})
    async with (
        runner_process(config, database_url, slots=SLOTS, database_connections=4) as runner,
        counting(database_url, "relayrun-runner") as counted,
    ):
        await runner.wait_ready()
        await all_end(runner, database, SLOTS)
        assert counted.most <= 4, counted


@pytest.mark.parametrize("total", [4, 5, 6, 7, 8, 10, 20, 100])
def test_the_shares_are_all_of_it_and_every_part_has_one(total: int) -> None:
    shares = ConnectionShares.of(total)
    parts = [shares.graphs, shares.store, shares.claims, shares.reading]
    assert sum(parts) == total
    assert min(parts) >= 1
    assert 1 <= shares.edits <= shares.graphs


async def test_the_store_holds_no_connection_while_a_text_is_embedded(tmp_path: Path, database_url: str) -> None:
    index = INDEX.model_dump(exclude_none=True)
    config = write_agent(tmp_path / "slow", "", store={"index": index})
    (tmp_path / "slow" / "embed.py").write_text(
        "import asyncio\nentered, go = asyncio.Event(), asyncio.Event()\n"
        "async def embed(texts):\n"
        "    entered.set()\n"
        "    await go.wait()\n"
        "    return [[1.0, 2.0, 3.0] for _ in texts]\n"
    )
    loaded = load_config(config)
    await setup(database_url, loaded.store)
    async with open_store(ConnectionSettings(database_url), loaded, connections=1) as store:
        assert store.index_config is not None
        embed = store.index_config["embed"].__globals__  # type: ignore[union-attr]
        slow = [
            asyncio.create_task(store.aput(("docs",), "1", {"text": "a"})),
            asyncio.create_task(store.asearch(("docs",), query="b")),
        ]
        await embed["entered"].wait()
        await store.aput(("other",), "2", {"text": "b"}, index=False)
        assert await store.aget(("other",), "2") is not None
        embed["go"].set()
        await asyncio.gather(*slow)
        found = await store.asearch(("docs",), query="a")
        assert [item.key for item in found] == ["1"]
