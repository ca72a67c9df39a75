"""How a run ended: for those who wait for it and not for its events, and for the receiver of its webhook."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from relayrun_api.http.responses import dumps, loads
from relayrun_api.runs.models import Run
from relayrun_api.streaming.follow import NO_RUN, Since, follow
from relayrun_api.streaming.hub import Subscription
from relayrun_api.threads.models import Failure, Interrupt
from relayrun_core.database import Database
from relayrun_core.db.finish import RunOutcome, read_outcome
from relayrun_core.db.journal import END, Page, read_newest
from relayrun_core.db.outbox import Delivery
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
    yield render(ending_of(outcome or await read_outcome(database, subscription.run_id)))


def ending_of(outcome: RunOutcome | None) -> Ending:
    """How it ended; None: it was deleted meanwhile."""
    if outcome is None:
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


def webhook_body(delivery: Delivery, now: datetime) -> bytes:
    """The run as its owner sees it, and the thread's values as it left them, as JSON."""
    run = delivery.run()
    asked = delivery.interrupts() if run.status is RunStatus.INTERRUPTED else []
    content = {
        **{name: value for name, value in vars(Run.of(run, tracebacks=False)).items() if name != "runner"},
        "error": Failure.of(run.error),
        "run_started_at": run.started_at,
        "run_ended_at": run.finished_at,
        "webhook_sent_at": now,
        "values": delivery.values,
        "interrupts": [Interrupt(entry.id, entry.value) for entry in asked],
    }
    return dumps(content)
