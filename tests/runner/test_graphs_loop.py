"""The way to the graphs' loop, for what is opened there and read elsewhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relayrun_runner.errors import LoopBusy, NotReady, QuestionFailed
from relayrun_runner.process.graphs_loop import GraphsLoop
from tests.support.waiting import until


class Nobody:
    """An executor that nobody asks."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.fixture
def graphs_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(_others_ended(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _others_ended() -> None:
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


@pytest.fixture
def graphs(graphs_loop: asyncio.AbstractEventLoop) -> GraphsLoop:
    graphs = GraphsLoop()
    graphs.open(graphs_loop, Nobody())
    return graphs


class Opening:
    """What an author's factory may open; it notes where that was done."""

    def __init__(self, fails: BaseException | None = None, waits: bool = False) -> None:
        self.seen: list[tuple[str, object]] = []
        self._fails = fails
        self._waits = waits

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[str]:
        task = asyncio.current_task()
        try:
            if self._waits:
                await asyncio.Event().wait()
            if self._fails:
                raise self._fails
            self.seen.append(("opened", task))
            yield "a graph"
        finally:
            self.seen.append(("closed", asyncio.current_task() if asyncio.current_task() is task else None))


async def test_what_is_held_is_opened_and_closed_by_one_task_of_the_graphs_loop(
    graphs: GraphsLoop, graphs_loop: asyncio.AbstractEventLoop
) -> None:
    opening = Opening()
    async with graphs.held(opening, 60) as graph:
        assert (graph, [what for what, _ in opening.seen]) == ("a graph", ["opened"])
    await until(lambda: len(opening.seen) == 2)
    [(_, opener), (what, closer)] = opening.seen
    assert what == "closed"
    assert isinstance(opener, asyncio.Task)
    assert opener is closer
    assert opener.get_loop() is graphs_loop


@pytest.mark.parametrize(
    "error",
    [LookupError("no such config"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), BaseException()],
)
async def test_an_opening_that_fails_says_why_and_the_loop_goes_on(graphs: GraphsLoop, error: BaseException) -> None:
    with pytest.raises(QuestionFailed, match=f"no such config|{type(error).__name__}"):
        async with graphs.held(Opening(error), 60):
            raise AssertionError("was opened")
    async with graphs.held(Opening(), 60) as graph:
        assert graph == "a graph"


async def test_an_opening_that_takes_too_long_is_given_up(graphs: GraphsLoop) -> None:
    opening = Opening(waits=True)
    with pytest.raises(LoopBusy, match="did not answer within"):
        async with graphs.held(opening, 0.2):
            raise AssertionError("was opened")
    await until(lambda: opening.seen == [("closed", opening.seen[0][1])] if opening.seen else False)


async def test_nothing_is_opened_before_the_graphs_are_loaded() -> None:
    with pytest.raises(NotReady):
        async with GraphsLoop().held(Opening(), 60):
            raise AssertionError("was opened")
