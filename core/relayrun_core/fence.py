"""The statement that every write of a runner begins with, and what its refusal looks like."""

import psycopg

#: Parameters: run id, attempt. The write counts as progress of the run.
FENCE_PROGRESS = "SELECT relayrun_fence_progress_v1(%s, %s)"

#: SQLSTATE of a refused write: the attempt does not hold the run any more.
STALE = "RR001"


def is_stale(error: BaseException) -> bool:
    """Whether the fence refused a write."""
    return isinstance(error, psycopg.Error) and error.sqlstate == STALE
