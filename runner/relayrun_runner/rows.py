"""What LangGraph's saver writes, as columns for one statement of ours; a statement we do not know stays as it is.

Each statement that is sent costs the driver a turn, and a run of a few steps would send dozens.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from langgraph.checkpoint.postgres.base import BasePostgresSaver

from relayrun_core.runs import Run
from relayrun_core.store.journal import Event
from relayrun_runner.batches import Statement

#: Its parameters come from `columns`.
WRITE = f"SELECT relayrun_write_v1({', '.join(['%s'] * 25)})"

_BLOBS = BasePostgresSaver.UPSERT_CHECKPOINT_BLOBS_SQL
_CHECKPOINT = BasePostgresSaver.UPSERT_CHECKPOINTS_SQL
_WRITES = BasePostgresSaver.INSERT_CHECKPOINT_WRITES_SQL
_WRITES_ANEW = BasePostgresSaver.UPSERT_CHECKPOINT_WRITES_SQL
# The texts and widths that `relayrun_write_v1` was written for. Another version of the saver's package may differ.
_WIDTHS = {_BLOBS: 6, _CHECKPOINT: 6, _WRITES: 9, _WRITES_ANEW: 9}

Row = Sequence[Any]


def are_known(statements: Iterable[Statement]) -> bool:
    """Whether WRITE can stand for these statements."""
    return all(len(row) == _WIDTHS.get(statement.query) for statement in statements for row in _rows(statement))


def columns(run: Run, statements: Iterable[Statement], events: Sequence[Event]) -> list[Any]:
    """The parameters of WRITE."""
    blobs: dict[Row, Row] = {}
    checkpoints: dict[Row, Row] = {}
    writes: dict[Row, Row] = {}
    for statement in statements:
        for row in _rows(statement):
            match statement.query:
                case query if query == _BLOBS:
                    blobs[tuple(row[1:4])] = row[1:]
                case query if query == _CHECKPOINT:
                    checkpoints[tuple(row[1:3])] = row[1:]
                case query:
                    # Within one statement a row can be replaced only once: of several, the last one counts.
                    replaces = query == _WRITES_ANEW
                    key = (*row[1:4], row[5], replaces)
                    if replaces or key not in writes:
                        writes[key] = (*row[1:], replaces)
    ids: tuple[UUID, int, str] = (run.run_id, run.attempt, str(run.thread_id))
    told = [(event.seq, event.event, event.data.decode()) for event in events]
    return [
        *ids,
        *_transposed(blobs.values(), 5),
        *_transposed(checkpoints.values(), 5),
        *_transposed(writes.values(), 9),
        *_transposed(told, 3),
    ]


def _rows(statement: Statement) -> Sequence[Row]:
    return statement.params if statement.many else [statement.params]


def _transposed(rows: Iterable[Row], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
