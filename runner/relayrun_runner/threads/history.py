"""A thread's past states as JSON, page by page: read, built and told on the reading loop."""

from collections.abc import AsyncGenerator
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from relayrun_core.state_parts import parts_of
from relayrun_runner.graphs import Graph
from relayrun_runner.threads.bodies import HistoryQuestion
from relayrun_runner.threads.pace import Pace
from relayrun_runner.threads.sharing import SharingSaver
from relayrun_runner.threads.snapshots import thread_state

# The first page tells how large the states are; each other has as many as make about so many bytes.
_PAGE_BYTES = 1_000_000
_MOST_STATES = 100


async def history_pages(
    graph: Graph, saver: SharingSaver, thread_id: UUID, question: HistoryQuestion, pace: Pace
) -> AsyncGenerator[bytes]:
    """The parts of a JSON list of `ThreadState`, newest first. Holds no connection while a part is taken."""
    reader, config = graph.copy({"checkpointer": saver}), question.config(thread_id)
    before, left, states, opening = question.before, question.limit, 1, b"["
    while left:
        wanted, read = min(left, states), saver.bytes_read
        told: list[bytes] = []
        async for snapshot in reader.aget_state_history(
            config, filter=question.metadata, before=_config(before), limit=wanted
        ):
            state = thread_state(snapshot)
            told.append(saver.values.dumps(parts_of(state, question.select) if question.select else state))
            before = snapshot.config["configurable"]["checkpoint_id"]
            await pace.rest()
        if told:
            text = opening + b",".join(told)
            # Where few parts are selected, little is told of much that is read.
            size = max(saver.bytes_read - read, len(text)) // len(told)
            opening, states = b",", min(max(_PAGE_BYTES // size, 1), _MOST_STATES)
            yield text
        left = left - wanted if len(told) == wanted else 0
    yield b"[]" if opening == b"[" else b"]"


def _config(checkpoint_id: str | None) -> RunnableConfig | None:
    return None if checkpoint_id is None else {"configurable": {"checkpoint_id": checkpoint_id}}
