"""Conditions in the form of metav1.Condition. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from relayrun_core.printable import one_line

Condition = dict[str, Any]

_LONGEST_MESSAGE = 32768


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as Kubernetes writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str | None) -> float | None:
    """A time of Kubernetes as seconds since the epoch. None too for a time that never was: a person may write one."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def condition(kind: str, holds: bool, reason: str, message: str, generation: int | None, at: float) -> Condition:
    """One condition that was last seen to change at `at`, in seconds since the epoch."""
    return {
        "type": kind,
        "status": "True" if holds else "False",
        **({} if generation is None else {"observedGeneration": generation}),
        "lastTransitionTime": timestamp(at),
        "reason": reason,
        "message": one_line(message)[:_LONGEST_MESSAGE],
    }


def settle(wanted: Iterable[Condition], before: Iterable[Condition]) -> list[Condition]:
    """`wanted`, each with its old `lastTransitionTime` unless its status flipped; others stay as they were."""
    old = {entry["type"]: entry for entry in before}
    settled = dict(old)
    for entry in wanted:
        known = old.get(entry["type"])
        same = known is not None and known["status"] == entry["status"]
        at = known["lastTransitionTime"] if known is not None and same else entry["lastTransitionTime"]
        settled[entry["type"]] = {**entry, "lastTransitionTime": at}
    return list(settled.values())
