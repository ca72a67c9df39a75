"""How a run ended, for those who wait for it and not for its events."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from relayrun_api.answers import dumps, loads
from relayrun_api.stream.follow import Since, follow
from relayrun_api.stream.hub import Subscription
from relayrun_core.database import Database
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus
from relayrun_core.store.journal import END, Event
from relayrun_core.store.rows import Thread
from relayrun_core.store.runs import get_run
from relayrun_core.store.threads import get_thread

_QUESTIONS = "__interrupt__"

#: White space before JSON, which tells everybody on the way that the answer is still coming.
KEEPALIVE = b"\n"


@dataclass(frozen=True)
class Ending:
    """`values` is the final state as JSON, with `__interrupt__` where the run waits for input."""

    status: RunStatus
    values: bytes
    error: dict[str, Any] | None = None

    def for_langgraph(self) -> bytes:
        """The body of `wait` and `join`, whose clients raise what is under `__error__`."""
        return self.values if self.error is None else dumps({"__error__": self.error})


async def ending_chunks(
    database: Database, subscription: Subscription, render: Callable[[Ending], bytes], since: Since
) -> AsyncGenerator[bytes]:
    """Wait for the run's end, with a newline every 5 s, and then give its JSON. Raises Truncated."""
    values: bytes | None = None
    questions: list[Any] | None = None
    error: dict[str, Any] | None = None
    async for page in follow(database, subscription, since=since):
        if page is None:
            yield KEEPALIVE
            continue
        for event in page.events:
            match event.event:
                case "values":
                    values = event.data
                case "updates" if _QUESTIONS.encode() in event.data:
                    questions = loads(event.data).get(_QUESTIONS) or questions
                case "error":
                    error = loads(event.data)
                case _ if event.event == END:
                    yield render(await _ending(database, event, subscription, values, questions, error))
                    return


async def _ending(
    database: Database,
    end: Event,
    subscription: Subscription,
    values: bytes | None,
    questions: list[Any] | None,
    error: dict[str, Any] | None,
) -> Ending:
    status = RunStatus(loads(end.data)["status"])
    if values is None or (error is None and status in (RunStatus.ERROR, RunStatus.TIMEOUT)):
        run = await get_run(database, subscription.run_id)
        if run is not None:
            values = values or await _thread_values(database, run)
            error = error or _error_of(run)
    if status is RunStatus.INTERRUPTED and values is not None and _QUESTIONS.encode() not in values:
        values = await _with_questions(database, subscription, values, questions)
    return Ending(status, values or b"{}", error)


async def _with_questions(
    database: Database, subscription: Subscription, values: bytes, questions: list[Any] | None
) -> bytes:
    """The values of a paused run whose LangGraph told its questions elsewhere: with the updates, or not at all."""
    if not questions:
        run = await get_run(database, subscription.run_id)
        thread = await get_thread(database, run.thread_id) if run else None
        if run and thread and thread.run_count == run.number:  # else they are a later run's
            questions = _asked(thread)
    told = loads(values)
    return dumps({**told, _QUESTIONS: questions}) if questions and isinstance(told, dict) else values


def _error_of(run: Run) -> dict[str, Any] | None:
    if run.status not in (RunStatus.ERROR, RunStatus.TIMEOUT):
        return None
    error = run.error or {}
    return {"error": error.get("error", run.reason), "message": error.get("message", run.message)}


async def _thread_values(database: Database, run: Run) -> bytes:
    """The thread's values as of its last finish, for a run that did not stream its own."""
    thread = await get_thread(database, run.thread_id)
    if thread is None:
        return b"{}"
    if run.status == RunStatus.INTERRUPTED and isinstance(thread.values, dict):
        asked = _asked(thread)
        return dumps({**thread.values, _QUESTIONS: asked} if asked else thread.values)
    return dumps(thread.values)


def _asked(thread: Thread) -> list[dict[str, Any]]:
    return [{"value": entry.value, "id": entry.id} for entry in thread.interrupts]
