"""Messages as the event protocol tells them: started, block by block, finished; or broken off, with an error. Pure.

```
 message-start ─▶ content-block-start ─▶ content-block-delta … ─▶ content-block-finish … ─▶ message-finish
                                                              └─▶ error: its step failed, or its runner was lost
```
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from relayrun_api.event_protocol.blocks import Block, begun, delta_of, finished, merged, slices
from relayrun_api.event_protocol.events import Namespace
from relayrun_api.streaming.messages import role_of

_ROLES = {"user": "human", "assistant": "ai", "system": "system"}
_CHUNK = "AIMessageChunk"


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """One event of a message."""

    namespace: Namespace
    node: str | None
    data: dict[str, Any]


@dataclass
class _Open:
    """A message that is being streamed; `task` is the path of the task that streams it."""

    message_id: str
    namespace: Namespace
    node: str | None
    task: str
    blocks: dict[Hashable, tuple[int, Block]] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    additional: dict[str, Any] = field(default_factory=dict)

    def event(self, kind: str, **data: Any) -> MessageEvent:
        # Beside the namespace, the JavaScript client tells messages apart by `run_id`, the Python one by `message_id`.
        identity = {"id": self.message_id} if kind == "message-start" else {"message_id": self.message_id}
        return MessageEvent(self.namespace, self.node, {"event": kind, **identity, "run_id": self.message_id, **data})


class Messages:
    """The messages of one run."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._complete: set[str] = set()

    def heard(self, namespace: Namespace, message: Block, metadata: dict[str, Any]) -> Iterator[MessageEvent]:
        """The events of a message, or of a slice of one, that a graph has streamed."""
        message_id, role = message.get("id"), _ROLES.get(role_of(message))
        if not isinstance(message_id, str) or role is None or message_id in self._complete:
            return
        streamed = message.get("type") == _CHUNK
        known = self._open.get(message_id)
        if known is not None and not streamed:
            yield from self._finish(known)  # it is here whole: what its slices said is what it says
            return
        if known is None:
            known = self._open[message_id] = _Open(
                message_id,
                namespace,
                metadata.get("langgraph_node"),
                str(metadata.get("langgraph_checkpoint_ns") or ""),
            )
            yield known.event("message-start", role=role, **_model(message))
        yield from _grow(known, message)
        if not streamed or message.get("chunk_position") == "last":
            yield from self._finish(known)

    def task_ended(self, task_id: str, error: str | None) -> Iterator[MessageEvent]:
        """A task is over, and with it what it streamed."""
        for known in [known for known in self._open.values() if _is_of(known.task, task_id)]:
            yield from self._finish(known) if error is None else self._break_off(known, error, "failed")

    def node_ended(self, namespace: Namespace, node: str) -> Iterator[MessageEvent]:
        """A node has told its update, in a run that does not tell its tasks."""
        for known in [k for k in self._open.values() if (k.namespace, k.node) == (namespace, node)]:
            yield from self._finish(known)

    def all_ended(self, error: str | None, code: str = "aborted") -> Iterator[MessageEvent]:
        """The run, or its attempt, is over."""
        for known in list(self._open.values()):
            yield from self._finish(known) if error is None else self._break_off(known, error, code)

    def _finish(self, known: _Open) -> Iterable[MessageEvent]:
        del self._open[known.message_id]
        self._complete.add(known.message_id)
        for index, block in known.blocks.values():
            yield known.event("content-block-finish", index=index, content=finished(block))
        more = {"usage": known.usage, "metadata": known.metadata, "additional_kwargs": known.additional}
        yield known.event("message-finish", **{name: value for name, value in more.items() if value})

    def _break_off(self, known: _Open, error: str, code: str) -> Iterable[MessageEvent]:
        # Not complete: another attempt may tell it again, under the same id.
        del self._open[known.message_id]
        yield known.event("error", message=error, code=code)


def _grow(known: _Open, message: Block) -> Iterator[MessageEvent]:
    for key, block in slices(message):
        index, before = known.blocks.get(key, (len(known.blocks), None))
        known.blocks[key] = index, merged(before, block)
        if before is None:
            yield known.event("content-block-start", index=index, content=begun(block))
        if (delta := delta_of(block)) is not None:
            yield known.event("content-block-delta", index=index, delta=delta)
    known.metadata |= message.get("response_metadata") or {}
    known.additional |= message.get("additional_kwargs") or {}
    _add_usage(known.usage, message.get("usage_metadata") or {})


def _add_usage(usage: dict[str, Any], added: dict[str, Any]) -> None:
    for name, count in added.items():
        if isinstance(count, dict):
            usage[name] = {**usage.get(name, {}), **count}
        elif isinstance(count, (int, float)):
            usage[name] = usage.get(name, 0) + count


def _model(message: Block) -> dict[str, Any]:
    """What is said of the model at the start, where a provider says it that early."""
    said = message.get("response_metadata") or {}
    names = {"model_provider": "provider", "model_name": "model"}
    metadata = {ours: said[theirs] for theirs, ours in names.items() if theirs in said}
    return {"metadata": metadata} if metadata else {}


def _is_of(path: str, task_id: str) -> bool:
    """Whether a path `node:task|node:task` leads through the task."""
    return any(segment.partition(":")[2] == task_id for segment in path.split("|"))
