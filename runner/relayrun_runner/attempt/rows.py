"""What LangGraph's saver writes, as columns for one statement of ours; a statement we do not know stays as it is.

Each statement that is sent costs the driver a turn, and a run of a few steps would send dozens.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from langgraph.checkpoint.postgres.base import BasePostgresSaver

from relayrun_core.arrays import BOOLEAN, BYTEA, INTEGER, JSONB, TEXT, ArrayOf
from relayrun_core.db.journal import Event, event_columns
from relayrun_core.runs import Run
from relayrun_runner.attempt.batches import Statement

#: Its parameters come from `columns`.
WRITE = f"SELECT relayrun_write_v2({', '.join(['%s'] * 25)})"

_BLOBS = BasePostgresSaver.UPSERT_CHECKPOINT_BLOBS_SQL
_CHECKPOINT = BasePostgresSaver.UPSERT_CHECKPOINTS_SQL
_WRITES = BasePostgresSaver.INSERT_CHECKPOINT_WRITES_SQL
_WRITES_ANEW = BasePostgresSaver.UPSERT_CHECKPOINT_WRITES_SQL
# The texts and columns that `relayrun_write_v2` was written for. Another version of the saver's package may differ.
_BLOB_TYPES = (TEXT, TEXT, TEXT, TEXT, BYTEA)
_CHECKPOINT_TYPES = (TEXT, TEXT, TEXT, JSONB, JSONB)
_WRITE_TYPES = (TEXT, TEXT, TEXT, TEXT, INTEGER, TEXT, TEXT, BYTEA, BOOLEAN)
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
    return [
        *ids,
        *_transposed(blobs.values(), _BLOB_TYPES),
        *_transposed(checkpoints.values(), _CHECKPOINT_TYPES),
        *_transposed(writes.values(), _WRITE_TYPES),
        *event_columns(events),
    ]


def _rows(statement: Statement) -> Sequence[Row]:
    return statement.params if statement.many else [statement.params]


def _transposed(rows: Iterable[Row], types: Sequence[ArrayOf[Any]]) -> list[bytes]:
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    return [array(column) for array, column in zip(types, columns, strict=True)]
