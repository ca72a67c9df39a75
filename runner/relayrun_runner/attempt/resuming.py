"""Decides how an attempt goes on with its run: with which input it calls the graph, if at all.

```
 attempt 1, or head not ours ──▶ the run's input, or its command with the answers still open
 head ours, LangGraph would pause here, or nothing is next ──▶ do not call
 head ours ──▶ call with None
```

*Head* is the newest root checkpoint; *ours* means that this run wrote it. A checkpointed step is never repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.constants import TAG_HIDDEN
from langgraph.types import Command, Send, StateSnapshot

from relayrun_core.runs import BoundAnswer, Run
from relayrun_runner.attempt.checkpoints import FencedSaver
from relayrun_runner.graphs.loading import Graph

_INTERRUPT = "__interrupt__"


@dataclass(frozen=True)
class Call:
    """Call the graph with this. `checkpoint_map`: where graphs start that have a namespace in it."""

    input: Any
    checkpoint_id: str | None
    checkpoint_map: Mapping[str, str]


@dataclass(frozen=True)
class NothingLeft:
    """The graph must not be called: it is done, or paused before the very node that a call would run."""


async def next_call(graph: Graph, saver: FencedSaver, run: Run, config: RunnableConfig) -> Call | NothingLeft:
    """Decide how to go on. `graph` has `saver` as its checkpointer; `config` names the thread and no checkpoint."""
    spec = run.spec
    if run.attempt == 1:
        return Call(_first_input(run, spec.answers), spec.checkpoint_id, spec.checkpoint_map)
    head = await saver.aget_tuple(config)
    if head is None or not _is_ours(head, run):
        answers = await _open_answers(saver, spec.answers)
        recorded = head is not None and spec.command is not None and await saver.commands_recorded(head)
        return Call(_first_input(run, answers, command_recorded=recorded), spec.checkpoint_id, spec.checkpoint_map)
    state = await graph.aget_state(config)
    if not state.next and not state.tasks:
        return NothingLeft()
    if await _would_pause(graph, run, head, state):
        return NothingLeft()
    return Call(None, None, await _not_begun(saver, run, config))


async def _not_begun(saver: FencedSaver, run: Run, config: RunnableConfig) -> Mapping[str, str]:
    """Where subgraphs start that keep their state from run to run, and that this one has not come to yet."""
    left = {}
    for namespace, checkpoint_id in run.spec.checkpoint_map.items():
        below: RunnableConfig = {"configurable": {**config["configurable"], "checkpoint_ns": namespace}}
        newest = await saver.aget_tuple(below) if namespace else None
        if newest is not None and not _is_ours(newest, run):
            left[namespace] = checkpoint_id
    return left


def _is_ours(head: CheckpointTuple, run: Run) -> bool:
    return head.metadata.get("run_id") == str(run.run_id)


def _first_input(run: Run, answers: Sequence[BoundAnswer], *, command_recorded: bool = False) -> Any:
    command = run.spec.command
    if command is None:
        return run.spec.input
    # Saved beside the head, LangGraph applies them by itself; sent again, a reducer would see them twice.
    update = None if command_recorded else command.get("update")
    goto = () if command_recorded else goto_of(command.get("goto"))
    resume = {answer.interrupt_id: answer.value for answer in answers} or None
    if resume is None and update is None and not goto:
        # All answers are recorded already: going on needs no command, and an empty one is an error.
        return None
    return Command(resume=resume, update=update, goto=goto)


def goto_of(target: Any) -> Sequence[Send | str]:
    """Where a command leads: nodes by name, or with an input of their own as `{node, input}`."""
    if target is None:
        return ()
    targets = target if isinstance(target, list) else [target]
    return [Send(entry["node"], entry.get("input")) if isinstance(entry, dict) else entry for entry in targets]


async def _open_answers(saver: FencedSaver, answers: Sequence[BoundAnswer]) -> list[BoundAnswer]:
    """The answers whose task has recorded none since they were bound; sent again, another would take the next slot."""
    return [answer for answer in answers if await saver.recorded_answers(answer.task_id) == answer.answered]


async def _would_pause(graph: Graph, run: Run, head: CheckpointTuple, state: StateSnapshot) -> bool:
    before = run.spec.interrupt_before or graph.interrupt_before_nodes
    after = run.spec.interrupt_after or graph.interrupt_after_nodes
    if not (before or after) or not _updated_since_pause(head):
        return False
    if before and _matches(graph, before, [task.name for task in state.tasks]):
        return True
    return bool(after) and _matches(graph, after, await _names_before(graph, state))


async def _names_before(graph: Graph, state: StateSnapshot) -> list[str]:
    """The nodes of the step that wrote the head: what was next at its parent."""
    source = (state.metadata or {}).get("source")
    if source != "loop" or state.parent_config is None:
        return []
    parent = await graph.aget_state(state.parent_config)
    return [task.name for task in parent.tasks]


def _updated_since_pause(head: CheckpointTuple) -> bool:
    """LangGraph's own condition: a channel has changed since the graph last paused at a breakpoint."""
    versions: Mapping[str, Any] = head.checkpoint["channel_versions"]
    seen: Mapping[str, Any] = head.checkpoint["versions_seen"].get(_INTERRUPT, {})
    return any(channel not in seen or version > seen[channel] for channel, version in versions.items())


def _matches(graph: Graph, breakpoints: Sequence[str] | str, names: Sequence[str]) -> bool:
    if breakpoints == "*":
        return any(TAG_HIDDEN not in (graph.nodes[name].tags or ()) for name in names if name in graph.nodes)
    return any(name in breakpoints for name in names)
