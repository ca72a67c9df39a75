"""Events of the event protocol: their content, their encoding, and the filters of subscriptions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from relayrun_api.http.responses import dumps

Namespace = tuple[str, ...]

#: What can be subscribed to; `custom:<name>` too, for the custom events of one name.
CHANNELS = ("values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom")
NAMED_CUSTOM = "custom:"

_ROOT_NAMESPACE = b"[]"


class Part(IntEnum):
    """What one event of the journal becomes, in the order in which it is told: where each part's numbers begin.

    Each has numbers of its own, so that they do not depend on what else was translated for a reader.
    """

    OVERTAKEN = 0
    TOOLS = 1
    MESSAGES = 32
    CHECKPOINT = 192
    DATA = 193
    INPUT = 200
    LIFECYCLE = 232
    TERMINAL = 255

    def number(self, nth: int) -> int:
        """The number of the `nth` event (from 0) of this part; the last one's is that of all that are too many."""
        return min(self + nth, _LAST[self])


_LAST = {part: following - 1 for part, following in zip(Part, [*list(Part)[1:], 256], strict=True)}


@dataclass(frozen=True, slots=True)
class ProtocolEvent:
    """One event, the `nth` of its part of a journal's event. `data` is JSON; `identity` is its `event_id` where clients
    expect one of a certain form.
    """

    method: str
    namespace: Namespace
    data: bytes
    channel: str
    part: Part = Part.DATA
    nth: int = 0
    node: str | None = None
    identity: str | None = None

    def written(self, identity: str, seq: int, at: int) -> bytes:
        """It as JSON on one line, with its `event_id`; `at` is in milliseconds since 1970."""
        namespace = dumps(self.namespace) if self.namespace else _ROOT_NAMESPACE
        node = b"" if self.node is None else b'"node":%b,' % dumps(self.node)
        head = b'{"type":"event","event_id":%b,"seq":%d,"method":"%b",' % (dumps(identity), seq, self.method.encode())
        return b'%b"params":{"namespace":%b,"timestamp":%d,%b"data":%b}}' % (head, namespace, at, node, self.data)


def event_of(
    method: str,
    namespace: Namespace,
    data: Any,
    part: Part = Part.DATA,
    nth: int = 0,
    *,
    channel: str | None = None,
    identity: str | None = None,
) -> ProtocolEvent:
    """An event whose data is not JSON yet."""
    return ProtocolEvent(method, namespace, dumps(data), channel or method, part, nth, identity=identity)


@dataclass(frozen=True)
class ChannelFilter:
    """What one subscription is for. Namespaces are prefixes, of which one has to match; none: all do. `depth` is how
    far below a prefix an event may be.
    """

    channels: frozenset[str]
    namespaces: tuple[Namespace, ...] = ()
    depth: int | None = None

    def any_of(self, channel: str) -> bool:
        """Whether some events of a channel may be wanted; where not, they need not be made."""
        return channel in self.channels or (
            channel == "custom" and any(name.startswith(NAMED_CUSTOM) for name in self.channels)
        )

    def __call__(self, event: ProtocolEvent) -> bool:
        """Whether an event is wanted."""
        by_channel = event.channel in self.channels or (
            event.channel.startswith(NAMED_CUSTOM) and "custom" in self.channels
        )
        return by_channel and self._covers(event.namespace)

    def _covers(self, namespace: Namespace) -> bool:
        return not self.namespaces or any(
            _begins_with(namespace, prefix) and (self.depth is None or len(namespace) - len(prefix) <= self.depth)
            for prefix in self.namespaces
        )


EVERYTHING = ChannelFilter(frozenset(CHANNELS))


@dataclass(frozen=True)
class Subscribed:
    """What a subscription is for: the events it wants, and the seq up to which its reader has them."""

    wanted: ChannelFilter
    since: int | None = None


def custom_channel(payload: Any) -> str:
    """The channel of what an author's code wrote: that of its name, if it has one."""
    name = payload.get("name") if isinstance(payload, dict) else None
    return f"{NAMED_CUSTOM}{name}" if isinstance(name, str) and name else "custom"


def _begins_with(namespace: Namespace, prefix: Sequence[str]) -> bool:
    """A segment without a colon stands for all calls of a node: `research` for `research:1f1e…` too."""
    return len(prefix) <= len(namespace) and all(
        segment == wanted or (":" not in wanted and segment.partition(":")[0] == wanted)
        for wanted, segment in zip(prefix, namespace, strict=False)
    )
