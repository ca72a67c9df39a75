"""What a run's code printed and logged."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.errors import Invalid
from relayrun_api.http.responses import Json
from relayrun_api.services import Given
from relayrun_api.threads import permissions as thread_permissions
from relayrun_api.threads.service import ThreadAt
from relayrun_core.db.run_logs import LogPage, LogPosition, read_log

router = Router("runs")

_MOST_LINES = 10_000
_LONGEST_SECONDS = 100 * 365 * 86400


_EXAMPLE = {
    "id": "1-1",
    "time": things.BEGAN,
    "attempt": 1,
    "node": "answer",
    "source": "log",
    "level": "info",
    "logger": "shop.orders",
    "text": "order 4711 found",
    "dropped": None,
}


@dataclass
class LogLine:
    """One line. `source`: `stdout` and `stderr` have what was printed, `log` what was logged, with its level and
    logger; `relayrun` says how many lines were dropped before it.
    """

    __pydantic_config__ = things.example(**_EXAMPLE)

    id: str
    time: datetime
    attempt: int
    node: str | None
    source: Literal["stdout", "stderr", "log", "relayrun"]
    level: str | None
    logger: str | None
    text: str
    dropped: int | None


@dataclass
class RunLog:
    """Lines in the order of their attempts. `next`: the `after` of the next page; null: there is nothing more yet."""

    __pydantic_config__ = things.example(lines=[_EXAMPLE], next=None)

    lines: list[LogLine]
    next: str | None

    @classmethod
    def of(cls, page: LogPage) -> Self:
        """The page as it is told."""
        lines = [
            LogLine(
                id=str(position),
                time=datetime.fromtimestamp(line["at"] / 1000, UTC),
                attempt=position.attempt,
                node=line.get("node"),
                source=line["source"],
                level=line.get("level"),
                logger=line.get("logger"),
                text=line["text"],
                dropped=line.get("dropped"),
            )
            for position, line in page.lines
        ]
        return cls(lines, str(page.end) if page.more else None)


@router.get(
    "/threads/{thread_id}/runs/{run_id}/logs",
    operation_id="get_run_logs",
    description=(
        "Returns what the run's code printed and logged, with attempt and node. To follow it, ask again with the "
        "`id` of the last line as `after`."
    ),
    permission=thread_permissions.READ,
    answer=RunLog,
)
async def logs(
    thread: ThreadAt,
    run_id: UUID,
    services: Given,
    caller: Caller,
    after: Annotated[str | None, Query(description="lines behind the one with this `id`", max_length=32)] = None,
    attempt: Annotated[int | None, Query(description="only lines of this attempt", ge=1, lt=2**31)] = None,
    since_seconds: Annotated[
        float | None, Query(description="only lines newer than this", ge=0, le=_LONGEST_SECONDS)
    ] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_LINES)] = 1000,
) -> Response:
    """Get what a run printed and logged."""
    run = await services.runs.visible(caller, run_id, thread)
    try:
        position = LogPosition.parse(after) if after else LogPosition()
    except ValueError as error:
        raise Invalid(f"`after` names no line of a log: {error}; send the `id` of one.") from error
    newer_than = None if since_seconds is None else int((time.time() - since_seconds) * 1000)
    page = await read_log(services.database, run.run_id, position, limit=limit, attempt=attempt, newer_than=newer_than)
    return Json(RunLog.of(page))
