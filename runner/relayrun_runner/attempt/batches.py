"""Statements that wait for the writer's next commit, and the cursor that only writes them down."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg


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
