"""A task that failed is executed again by whoever goes on from its checkpoint, whatever it had written before."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from relayrun_core.database import Database
from tests.runner.test_progress import attempt_of
from tests.support.runs import accept, claimed


class State(TypedDict, total=False):
    done: str


class OddError(BaseException): ...


class Edge:
    """A conditional edge that fails once."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error

    def __call__(self, _state: State) -> Any:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return [Send("last", {"done": "sent"})]


async def first(_state: State) -> State:
    return {"done": "first"}


async def last(_state: State) -> State:
    return {"done": "last"}


@pytest.mark.parametrize("error", [ValueError("no"), OddError()])
async def test_an_edge_that_failed_is_asked_again(database: Database, error: BaseException) -> None:
    builder = StateGraph(State).add_node("first", first).add_node("last", last)
    builder.add_edge(START, "first").add_conditional_edges("first", Edge(error), ["last"]).add_edge("last", END)
    run = await claimed(database, await accept(database))
    async with attempt_of(database, run) as attempt:
        graph = builder.compile(checkpointer=attempt.saver)
        config = attempt.config("")
        with pytest.raises(type(error)):
            await graph.ainvoke({"done": ""}, config, durability="sync")
        assert await graph.ainvoke(None, config, durability="sync") == {"done": "last"}
