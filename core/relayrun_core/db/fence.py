"""The statement that every write of a runner begins with, and what its refusal looks like."""

import psycopg

#: Parameters: run id, attempt, thread id, -1 before the write and 1 behind it: its new rows count as progress.
FENCE_ROWS = "SELECT relayrun_fence_rows(%s, %s, %s, %s)"

#: SQLSTATE of a refused write: the attempt does not hold the run any more.
STALE = "RR001"


def is_stale(error: BaseException) -> bool:
    """Whether the fence refused a write."""
    return isinstance(error, psycopg.Error) and error.sqlstate == STALE
