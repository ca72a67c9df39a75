"""Makes the outcome of an attempt: the final state, the pending interrupts, or the error."""

import json
import re
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import PregelExecutableTask, StateSnapshot

from relayrun_core.printable import bounded
from relayrun_core.runs import Head, Outcome, PendingInterrupt
from relayrun_core.states import Reason
from relayrun_core.storable import storable_text
from relayrun_runner.attempt.checkpoints import FencedSaver
from relayrun_runner.author_errors import error_text, is_a, name_of, safely, text_of
from relayrun_runner.graphs.loading import Graph
from relayrun_runner.graphs.serialize import dumps, dumps_both, dumps_kept
from relayrun_runner.threads.snapshots import output_keys, thread_state

# LangGraph leaves this note on an exception that a node raised.
_NODE_NOTE = re.compile(r"task with name '([^']+)'")
_CALLS_NODES = ("run_with_retry", "arun_with_retry")
# An author's traceback may hold whole prompts; this is plenty to find the line.
_TRACEBACK_CHARACTERS = 20_000
# It is told with the run, wherever that is: plenty for whoever reads it.
_MESSAGE_CHARACTERS = 100_000


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
    graph: Graph, saver: FencedSaver, config: RunnableConfig, error: BaseException, made_by: str | None
) -> Outcome:
    """The outcome of a call that raised: what the graph had reached, and where and why it stopped."""
    reached = await _reached(graph, saver, config, made_by)
    node = node_of(error)
    return replace(
        reached,
        reason=Reason.GRAPH_ERROR,
        message=f"{name_of(error)} in node {node}" if node else name_of(error),
        error=describe(error, saver.attempt, reached.checkpoint_id),
    )


def refused_outcome(error: BaseException, attempt: int) -> Outcome:
    """The outcome of a run whose graph could not be opened, or whose outcome could not be read or stored."""
    return Outcome(Reason.GRAPH_ERROR, name_of(error), error=describe(error, attempt, None))


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
    shown, kept = dumps_both(head.pop("values"))
    return Outcome(
        reason=Reason.WAITING_FOR_INPUT if waiting else Reason.SUCCEEDED,
        values=shown,
        interrupts=await pending_interrupts(graph, saver, config, state),
        checkpoint_id=head["checkpoint_id"],
        output_keys=output_keys(graph),
        questions=dumps(head["interrupts"]),
        head=Head(dumps_kept(head), made_by, None if kept == shown else kept),
    )


def describe(error: BaseException, attempt: int, checkpoint_id: str | None) -> dict[str, Any]:
    """An exception for the run's owner: enough to find the failing node and to retry it."""
    text = safely(lambda: "".join(traceback.format_exception(error)), "")
    # SystemExit says no more than a number, and KeyboardInterrupt nothing.
    message = text_of(error) if is_a(error, Exception) else error_text(error)
    return {
        "error": name_of(error),
        "message": storable_text(bounded(message, _MESSAGE_CHARACTERS)),
        "node": node_of(error),
        "attempt": attempt,
        "checkpoint_id": checkpoint_id,
        "traceback": storable_text(text[-_TRACEBACK_CHARACTERS:]),
    }


def node_of(error: BaseException) -> str | None:
    """The node that raised the exception; of nested graphs the innermost."""
    return safely(lambda: _node_of_frames(error), None) or safely(lambda: _node_of_notes(error), None)


def _node_of_notes(error: BaseException) -> str | None:
    for note in getattr(error, "__notes__", ()):
        if found := _NODE_NOTE.search(note):
            return storable_text(found[1])
    return None


def _node_of_frames(error: BaseException) -> str | None:
    """By the innermost frame that calls a node: LangGraph leaves no note on what is no Exception, nor on a cancel."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        task = frame.f_locals.get("task") if frame.f_code.co_name in _CALLS_NODES else None
        if isinstance(task, PregelExecutableTask):
            found = task.name
    return found


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
    return json.loads(dumps(value))  # orjson makes floats of large integers


def _checkpoint_id(state: StateSnapshot) -> str | None:
    return (state.config.get("configurable") or {}).get("checkpoint_id")


class HeadOnly(BaseCheckpointSaver[str]):
    """Knows one checkpoint."""

    def __init__(self, head: CheckpointTuple) -> None:
        super().__init__()
        self._head = head

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint, for the root graph."""
        return self._head if config["configurable"].get("checkpoint_ns", "") == "" else None
