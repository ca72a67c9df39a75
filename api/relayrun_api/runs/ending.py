"""How a run ended, for those who wait for it and not for its events."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_api.http.responses import dumps, loads
from relayrun_api.streaming.follow import NO_RUN, Since, follow
from relayrun_api.streaming.hub import Subscription
from relayrun_core.database import Database
from relayrun_core.db.finish import RunOutcome, read_outcome
from relayrun_core.db.journal import END, Page, read_newest
from relayrun_core.states import RunStatus

_QUESTIONS = "__interrupt__"

#: White space before JSON, which tells everybody on the way that the answer is still coming.
KEEPALIVE = b"\n"


@dataclass(frozen=True)
class Ending:
    """`values` is the graph's output as JSON, with `__interrupt__` where the run waits for an answer."""

    status: RunStatus
    values: bytes
    error: dict[str, Any] | None = None

    def for_langgraph(self) -> bytes:
        """The body of `wait` and `join`, whose clients raise what is under `__error__`."""
        return self.values if self.error is None else dumps({"__error__": self.error})


async def ending_chunks(
    database: Database, subscription: Subscription, render: Callable[[Ending], bytes], since: Since
) -> AsyncGenerator[bytes]:
    """Wait for the run's end, and then give its JSON. Raises Truncated."""
    outcome: RunOutcome | None = None

    async def read(database: Database, run_id: UUID, after_seq: int) -> Page | None:
        nonlocal outcome
        page = await read_newest(database, run_id, after_seq)
        if page is not None and page.events[-1].event == END:
            outcome = await read_outcome(database, run_id)
        return page

    async for _ in follow(database, subscription, since=since, read=read):
        pass
    yield render(_ending(outcome or await read_outcome(database, subscription.run_id)))


def _ending(outcome: RunOutcome | None) -> Ending:
    if outcome is None:  # deleted meanwhile
        return Ending(RunStatus.CANCELLED, b"{}", NO_RUN)
    return Ending(outcome.status, _with_questions(outcome), _error_of(outcome))


def _with_questions(outcome: RunOutcome) -> bytes:
    if not outcome.questions:
        return outcome.values
    values = loads(outcome.values)
    # A graph whose output is no object tells its questions alone.
    return dumps({**(values if isinstance(values, dict) else {}), _QUESTIONS: outcome.questions})


def _error_of(outcome: RunOutcome) -> dict[str, Any] | None:
    if outcome.status not in (RunStatus.ERROR, RunStatus.TIMEOUT):
        return None
    error = outcome.error or {}
    return {"error": error.get("error", outcome.reason), "message": error.get("message", outcome.message)}
