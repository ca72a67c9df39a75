"""Checkpoint ids begin with the time, and a thread's newest id is its head: how a clock that is behind loses nothing.

Why it is done in this way: docs/decisions/0006-clocks.md.
"""

import logging
from uuid import UUID

from relayrun_core.clock import unix_nanoseconds
from relayrun_runner.errors import CheckpointOrder
from relayrun_runner.langgraph_internals import ID_STATE, LAST_ID

logger = logging.getLogger("relayrun.runner")

#: Parameter: the thread's id. Every namespace: a rollback, too, tells old from new by their ids.
NEWEST_ID = "SELECT max(checkpoint_id) AS newest FROM checkpoints WHERE thread_id = %s"

# UUIDs count ticks of 100 ns from 1582 on; what lies between that and Unix's 1970 (RFC 9562).
_UNIX_EPOCH_TICKS = 0x01B21DD213814000
_TICKS_A_SECOND = 10_000_000
# Clocks of a cluster differ by milliseconds.
_WARN_SECONDS = 1.0
# No clock is so far ahead: the id is broken, and near the greatest one LangGraph would begin again at zero.
_CREDIBLE_SECONDS = 100 * 365 * 86400


def make_ids_after(newest: str | None) -> float:
    """Have every id that LangGraph makes in this process from now on sort after `newest`.

    Returned is by how many seconds its ids run ahead of this machine's clock. What can not be sorted after is left
    to `require_after`.
    """
    now = unix_nanoseconds() // 100 + _UNIX_EPOCH_TICKS
    head = 0 if newest is None else _ticks(newest)
    if head - now > _CREDIBLE_SECONDS * _TICKS_A_SECOND:
        head = 0
    # No call may come between this look and the assignment: other threads make ids as well, and the interpreter
    # changes threads at calls.
    last = ID_STATE[LAST_ID] or 0 if LAST_ID in ID_STATE else 0
    if last < head:
        ID_STATE[LAST_ID] = head
    _warn(head - max(now, last))
    return float(max(0, max(head, last) - now) / _TICKS_A_SECOND)


def require_after(checkpoint_id: str, newest: str | None) -> None:
    """Raise CheckpointOrder if a checkpoint of this id would sort before what the thread has."""
    if newest is not None and checkpoint_id <= newest:
        raise CheckpointOrder(
            f"checkpoint {checkpoint_id} would sort before {newest}, the newest of its thread, and be lost: that one "
            "was not made by LangGraph, or by a clock that is a century ahead; use another thread"
        )


def _ticks(checkpoint_id: str) -> int:
    """The time in an id; 0 for one that has none."""
    try:
        value = UUID(checkpoint_id)
    except ValueError:
        return 0
    if value.version != 6:
        return 0
    return (value.int >> 80) << 12 | (value.int >> 64) & 0xFFF


def _warn(behind: int) -> None:
    seconds = behind / _TICKS_A_SECOND
    if seconds > _WARN_SECONDS:
        logger.warning(
            "a thread's newest checkpoint was made %.1f s from now, by this machine's clock: it goes on behind that, "
            "but one of the clocks is wrong",
            seconds,
        )
