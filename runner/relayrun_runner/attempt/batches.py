"""What an attempt's writer commits together: LangGraph's statements, as columns of one of ours, and the recent events.

Each statement that is sent costs the driver a turn, and a run of a few steps would send dozens.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from relayrun_core.clock import monotonic_seconds
from relayrun_core.database import Database
from relayrun_core.db.arrays import BOOLEAN, BYTEA, INTEGER, JSONB, TEXT, ArrayOf
from relayrun_core.db.journal import Event, event_columns
from relayrun_core.runs import Run
from relayrun_runner.langgraph_internals import BLOBS, CHECKPOINT, WRITES, WRITES_AGAIN


@dataclass(frozen=True)
class Statement:
    """One statement; `many` says that `params` is a sequence of parameters."""

    query: str
    params: Any
    many: bool = False

    async def send(self, cursor: psycopg.AsyncCursor[Any]) -> None:
        """Run it on a cursor."""
        if self.many:
            await cursor.executemany(self.query.encode(), self.params)
        else:
            await cursor.execute(self.query.encode(), self.params)


@dataclass(frozen=True)
class Batch:
    """Statements of one caller, and the future it waits at."""

    statements: list[Statement]
    lingers: bool
    done: asyncio.Future[None]

    def succeed(self) -> None:
        """They are durable."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """They were refused."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # the caller may be gone: then nobody is to complain that it was not looked at


class StatementRecorder:
    """Stands in for the cursor of LangGraph's saver, which only ever writes with these two."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    async def execute(self, query: str, params: Any = None) -> None:
        """Write a statement down."""
        self.statements.append(Statement(query, params))

    async def executemany(self, query: str, params: Sequence[Any]) -> None:
        """Write a statement with several sets of parameters down."""
        self.statements.append(Statement(query, list(params), many=True))


# A crash of Postgres loses at most the last `wal_writer_delay`s of asynchronous commits: 3 s is 15 of them.
_SECONDS = 3.0


class RecentEvents:
    """What was committed asynchronously of late, to be told again when a commit meets another server.

    Postgres flushes its log in order, so a synchronous commit makes all before it on that server durable as well.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: deque[tuple[float, Event]] = deque()
        # How many connections had been made at the last commit, and at the one that is being tried.
        self._connections = -1
        self._connections_used = -1

    def all(self) -> list[Event]:
        """Those that only the next synchronous commit makes safe."""
        return [event for _, event in self._events]

    def to_resend(self) -> list[Event]:
        """What the commit that is about to be sent has to carry: a new connection may mean that Postgres crashed.

        Asked with a connection in hand. Asked before, the very one that was waited for would be the first new one, and
        new events would come before the lost ones, which readers then miss.
        """
        self._connections_used = self._database.connections_made
        return self.all() if self._connections_used != self._connections else []

    def committed(self, events: list[Event], *, durable: bool) -> None:
        """The commit succeeded, with these new events. `durable`: it was a synchronous one."""
        now = monotonic_seconds()
        if durable:
            self._events.clear()
        else:
            if self._connections_used != self._connections:  # all of them were committed anew just now
                self._events = deque((now, event) for _, event in self._events)
            self._events.extend((now, event) for event in events)
            while self._events and now - self._events[0][0] > _SECONDS:
                self._events.popleft()
        self._connections = self._connections_used


#: Its parameters come from `columns`.
WRITE = f"SELECT relayrun_write({', '.join(['%s'] * 25)})"

# The texts and columns that `relayrun_write` was written for. Another version of the saver's package may differ.
_BLOB_TYPES = (TEXT, TEXT, TEXT, TEXT, BYTEA)
_CHECKPOINT_TYPES = (TEXT, TEXT, TEXT, JSONB, JSONB)
_WRITE_TYPES = (TEXT, TEXT, TEXT, TEXT, INTEGER, TEXT, TEXT, BYTEA, BOOLEAN)
_WIDTHS = {BLOBS: 6, CHECKPOINT: 6, WRITES: 9, WRITES_AGAIN: 9}

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
                case query if query == BLOBS:
                    blobs[tuple(row[1:4])] = row[1:]
                case query if query == CHECKPOINT:
                    checkpoints[tuple(row[1:3])] = row[1:]
                case query:
                    # Within one statement a row can be replaced only once: of several, the last one counts.
                    replaces = query == WRITES_AGAIN
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
