"""Who comes, and how each is known to end. The agent's own tables are held against these by a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AGENT = Path(__file__).parent / "agent" / "langgraph.json"


@dataclass(frozen=True)
class End:
    """How a run ends; None: in either way. `errors`: what it may be called, or our reason; none: anything."""

    status: str | None
    errors: tuple[str, ...] = ()
    node: str | None = None
    #: What is told of the state key `value`, where that is known.
    value: Any = ...


@dataclass(frozen=True)
class Guest:
    """A run of the agent, with what no request may ask for: how often it may fail."""

    graph: str
    input: dict[str, Any]
    end: End
    configurable: dict[str, Any] = field(default_factory=dict)
    backoff_limit: int = 0

    @property
    def most_attempts(self) -> int:
        """Those that fail, one that only keeps its input, and before and behind that one in the company of others."""
        return self.backoff_limit + 4


SUCCESS = End("success")
POISON = End("error", ("BackoffLimitExceeded",))

#: Kinds of exceptions, and the names under which they are told: Python and LangGraph turn some into others.
ERRORS: dict[str, tuple[str, ...]] = {
    "exit": ("SystemExit",),
    "interrupt": ("KeyboardInterrupt",),
    "generator": ("GeneratorExit", "RuntimeError", "BaseExceptionGroup"),
    "cancelled": ("CancelledError", "NodeCancelledError", "BaseExceptionGroup"),
    "odd": ("Odd", "BaseExceptionGroup"),
    "value": ("ValueError", "ExceptionGroup"),
}
#: The same for those that are raised in a node and in a factory only; none: it has no name.
MORE_ERRORS: dict[str, tuple[str, ...]] = {
    "memory": ("MemoryError",),
    "stop": ("RuntimeError",),
    "stop async": ("RuntimeError",),
    "timeout": ("TimeoutError",),
    "group": ("BaseExceptionGroup",),
    "mute": ("Mute",),
    "anonymous": (),
    "loud": ("Loud",),
    "deep": ("ValueError",),
    "round about": ("ValueError",),
    "drained": ("GraphDrained",),
    "bubble": ("GraphBubbleUp",),
    "parent": ("ParentCommand",),
}
#: Where they are raised while the run waits for that, and the node that is told.
IN_TIME = {
    "node": "act", "task": "act", "gathered": "act", "group": "act", "thread": "act", "pool": "act", "tool": "act",
    "callback": "act", "sync callback": "act", "store": "act", "stored": "act", "writer": None, "question": None,
    "sync": "sync", "router": "first", "reducer": None, "state": None, "inside": None, "retried": "retried",
}  # fmt: skip
#: Who waits for all tasks of a group does not hear of a cancelled one, LangChain only logs what a handler raises, and
#: LangGraph drops a node whose retry policy was cancelled.
UNHEARD = ("cancelled in group", "value in callback", "cancelled in retried")
LATE = ("late task", "late thread", "late call", "done callback", "finalizer", "left generator")

DEADLY = ("_exit", "_exit 70", "segfault", "stack", "descriptors", "terminate twice", "cancel all")
HARMFUL = (
    "fork", "fork apart", "program", "program apart", "time", "monotonic", "output", "environment", "hooks", "signals",
    "thread", "alarm", "loop.stop", "loop.stop from thread",
)  # fmt: skip
FROZEN = ("stop",)

#: What is told of values that JSON or Postgres refuses.
TOLD: dict[str, Any] = {
    "nan": None, "infinity": None, "minus infinity": None, "nul": "page 1\ufffdpage 2",
    "high surrogate": "broken \ufffd emoji", "low surrogate": "\ufffd", "turned surrogates": "\ufffd\ufffd",
    "escapes": "\\u0000 \\ud800 \\\\u0000", "negative zero": 0.0, "deep": ..., "large": "x" * 2_000_000,
    "many": list(range(100_000)), "decimal nan": ..., "first day": ..., "last day": ..., "model": {"inside": None},
    "number as key": ..., "none as key": ..., "set": [1], "uuid": "00000000-0000-0000-0000-000000000001", "enum": "red",
}  # fmt: skip
NUMPY: dict[str, Any] = {
    "array": [[1.0, None], [None, 4.0]], "true": True, "float": None, "integer": 7,
    "array of times": ..., "empty array": [],
}  # fmt: skip
#: These have no form in which they could be kept. Each ends its run, or is told by some words.
UNTOLD = (
    "all of them", "huge", "beyond 64 bits", "below 64 bits", "very huge", "deeper", "too deep", "too deep, objects",
    "itself", "function", "type", "lock", "thread", "object", "generator", "module", "everything", "memoryview",
    "range", "slice", "complex", "fraction", "ellipsis", "not implemented", "decimal", "timedelta", "longest timedelta",
    "time", "date", "path", "address", "network", "pattern", "named tuple", "frozen set", "bytes", "bytearray",
    "deque", "counter", "ordered", "default dict", "send", "exception", "box", "old model", "text", "tuple as key",
    "long key", "reserved keys",
)  # fmt: skip
NUMPY_UNTOLD = ("array of objects",)
#: Where else than in the state, with those that have done harm somewhere.
PLACES = ("key", "message", "question", "event", "store", "error")
WORST = ("nan", "nul", "high surrogate", "all of them", "very huge", "object", "too deep", "everything")


def few() -> dict[str, Guest]:
    """Of those that leave their process alive one for each kind, place and value, for where runs cost more."""
    raised = {name: guest for name, guest in raising().items() if name.startswith("exit in ") or guest.graph == "made"}
    more = {name: guest for name, guest in raising().items() if name.endswith(" in node")}
    given = giving(numpy=False)
    values = {
        name: guest for name, guest in given.items() if name.endswith((" at the top", " in message", " in store"))
    }
    return {**raised, **more, **harmful(), **values}


def giving(*, numpy: bool = True) -> dict[str, Guest]:
    """Each value at the top of the state and nested in it, the worst everywhere. `numpy`: it is installed."""
    guests = {}
    for what, told in (TOLD | (NUMPY if numpy else {})).items():
        guests[f"{what} at the top"] = Guest("gives", {"place": "top", "what": what}, End("success", value=told))
        nested = ... if told is ... else {"list": [told], "deeper": {"value": told}}
        guests[f"{what} nested"] = Guest("gives", {"place": "nested", "what": what}, End("success", value=nested))
    for place, whats in {"top": UNTOLD + (NUMPY_UNTOLD if numpy else ()), **dict.fromkeys(PLACES, WORST)}.items():
        for what in whats:
            guests[f"{what} in {place}"] = Guest("gives", {"place": place, "what": what}, End(None))
    return guests


def raising() -> dict[str, Guest]:
    """Each core kind at each place, every other kind in a node and in a factory."""
    guests = {}
    for place, node in IN_TIME.items():
        for kind, names in ERRORS.items():
            end = SUCCESS if f"{kind} in {place}" in UNHEARD else End("error", names, node)
            guests[f"{kind} in {place}"] = Guest("raises", {"place": place, "kind": kind}, end)
    for place in LATE:
        for kind in ("exit", "interrupt", "odd"):
            guests[f"{kind} in {place}"] = Guest("raises", {"place": place, "kind": kind}, SUCCESS)
    for kind, names in MORE_ERRORS.items():
        guests[f"{kind} in node"] = Guest("raises", {"place": "node", "kind": kind}, End("error", names))
    for kind, names in (ERRORS | MORE_ERRORS).items():
        guests[f"{kind} in factory"] = Guest("made", {}, End("error", names), {"kind": kind})
    return guests


def harmful() -> dict[str, Guest]:
    return {how: Guest("ends", {"how": how}, SUCCESS) for how in HARMFUL}


def deadly() -> dict[str, Guest]:
    guests = {how: Guest("ends", {"how": how}, POISON) for how in (*FROZEN, *DEADLY)}
    # Since Python 3.12 what would overflow the stack of C raises in time.
    guests["stack"] = Guest("ends", {"how": "stack"}, End("error", (*POISON.errors, "RecursionError")))
    return guests


def how_it_differs(end: End, status: str, reason: str | None, error: dict[str, Any] | None) -> str | None:
    """Why a run did not end as it had to; None: it did."""
    name, node = (error or {}).get("error", reason), (error or {}).get("node")
    said = f"{status}, {name} in {node}: {(error or {}).get('message')}"[:300]
    if end.status not in (None, status) or (end.status is None and reason == "BackoffLimitExceeded"):
        return said
    if end.status != "success" and ((end.errors and name not in end.errors) or end.node not in (None, node)):
        return said
    # A statement of ours that failed, and nobody put into words.
    return said if "LINE 1" in said or "DETAIL:" in said or "CONTEXT:" in said else None


def nothing_differs(found: Mapping[str, object]) -> None:
    """All that differs, a line for each guest."""
    wrong = [f"{name}: {how}" for name, how in found.items() if how]
    assert not wrong, "\n".join(["", *wrong])
