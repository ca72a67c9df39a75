"""How an attempt's run ended: the state it left, the questions it waits at, the error it died of."""

import re
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Protocol

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.types import StateSnapshot

from relayrun_core.runs import Head, Outcome, PendingInterrupt
from relayrun_core.states import Reason
from relayrun_runner.attempt.checkpoints import FencedSaver
from relayrun_runner.attempt.head_only import HeadOnly
from relayrun_runner.graphs import Graph
from relayrun_runner.serialize import dumps, without_nul
from relayrun_runner.threads.snapshots import output_keys, thread_state

# LangGraph leaves this note on an exception that a node raised.
_NODE_NOTE = re.compile(r"task with name '([^']+)'")
# An author's traceback may hold whole prompts; this is plenty to find the line.
_TRACEBACK_CHARACTERS = 20_000


class CountsAnswers(Protocol):
    """A saver that knows of answers."""

    async def recorded_answers(self, task_id: str) -> int:
        """How many answers to its questions the task has recorded."""
        ...


async def settled_outcome(graph: Graph, saver: FencedSaver, config: RunnableConfig, made_by: str | None) -> Outcome:
    """The outcome of a call that returned: done, or waiting at a question or breakpoint."""
    await saver.quiet()
    state = await _settled_state(graph, saver, config)
    return await outcome_at(graph, saver, config, state, made_by)


async def _settled_state(graph: Graph, saver: FencedSaver, config: RunnableConfig) -> StateSnapshot:
    head = saver.settled_head()
    if head is None or any(isinstance(channel, DeltaChannel) for channel in graph.channels.values()):
        return await graph.aget_state(config)
    # What was just written need not be read back: this attempt is its only writer.
    return await graph.copy({"checkpointer": HeadOnly(head)}).aget_state(config)


async def failed_outcome(
    graph: Graph, saver: FencedSaver, config: RunnableConfig, error: Exception, made_by: str | None
) -> Outcome:
    """The outcome of a call that raised: what the graph had reached, and where and why it stopped."""
    reached = await _reached(graph, saver, config, made_by)
    return replace(
        reached,
        reason=Reason.GRAPH_ERROR,
        message=f"{type(error).__name__} in node {node_of(error) or '?'}",
        error=describe(error, saver.attempt, reached.checkpoint_id),
    )


async def stopped_outcome(graph: Graph, saver: FencedSaver, config: RunnableConfig, made_by: str | None) -> Outcome:
    """The outcome of a cancelled call: what the graph had reached."""
    reached = await _reached(graph, saver, config, made_by)
    return replace(reached, reason=Reason.CANCELLED, message="the run was cancelled")


async def _reached(graph: Graph, saver: FencedSaver, config: RunnableConfig, made_by: str | None) -> Outcome:
    await saver.quiet()
    return await outcome_at(graph, saver, config, await graph.aget_state(config), made_by)


async def outcome_at(
    graph: Graph, saver: CountsAnswers, config: RunnableConfig, state: StateSnapshot, made_by: str | None
) -> Outcome:
    """The outcome of what stopped at this state: done, or waiting at a question or breakpoint."""
    waiting = bool(state.next or state.interrupts)
    head = thread_state(state)
    values = head.pop("values")
    return Outcome(
        reason=Reason.WAITING_FOR_INPUT if waiting else Reason.SUCCEEDED,
        values=without_nul(dumps(values)),
        interrupts=await pending_interrupts(graph, saver, config, state),
        checkpoint_id=head["checkpoint_id"],
        output_keys=output_keys(graph),
        questions=without_nul(dumps(head["interrupts"])),
        head=Head(without_nul(dumps(head)), made_by),
    )


def describe(error: BaseException, attempt: int, checkpoint_id: str | None) -> dict[str, Any]:
    """An exception for the run's owner: enough to find the failing node and to retry it."""
    text = "".join(traceback.format_exception(error))
    return {
        "error": type(error).__name__,
        "message": _clean(str(error)),
        "node": node_of(error),
        "attempt": attempt,
        "checkpoint_id": checkpoint_id,
        "traceback": _clean(text[-_TRACEBACK_CHARACTERS:]),
    }


def node_of(error: BaseException) -> str | None:
    """The node that raised the exception; of nested graphs the innermost."""
    for note in getattr(error, "__notes__", ()):
        if found := _NODE_NOTE.search(note):
            return found[1]
    return None


async def pending_interrupts(
    graph: Graph, saver: CountsAnswers, config: RunnableConfig, state: StateSnapshot
) -> tuple[PendingInterrupt, ...]:
    """The questions the thread waits at, each with the task that asks and how many answers that one has already."""
    if not state.interrupts:
        return ()
    if any(task.state is not None for task in state.tasks):
        state = await graph.aget_state(config, subgraphs=True)
    found = {}
    async for entry in _asked(saver, state):
        found[entry.id] = entry
    return tuple(found.values())


async def _asked(saver: CountsAnswers, state: StateSnapshot) -> AsyncIterator[PendingInterrupt]:
    for task in state.tasks:
        if isinstance(task.state, StateSnapshot) and task.state.interrupts:
            async for entry in _asked(saver, task.state):
                yield entry
            continue
        for interrupt in task.interrupts:
            answered = await saver.recorded_answers(task.id)
            yield PendingInterrupt(interrupt.id, _plain(interrupt.value), task.id, answered)


def _plain(value: Any) -> Any:
    return orjson.loads(without_nul(dumps(value)))


def _clean(text: str) -> str:
    """Text that `jsonb` can hold: no NULs, no lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
