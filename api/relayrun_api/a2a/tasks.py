"""Tasks: a run, and the runs that went on with it after an answer, as one thing under the first one's id."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from relayrun_api.a2a.dialects import Json
from relayrun_api.a2a.parts import data_part, parts_of_content, parts_of_value
from relayrun_api.a2a.rpc import Code, RpcError
from relayrun_api.a2a.translator import (
    TERMINAL,
    A2aTranslator,
    agent_message,
    output_parts,
    question_message,
    state_of_run,
)
from relayrun_api.auth import Principal
from relayrun_api.http.errors import RunNotFound
from relayrun_api.http.responses import loads
from relayrun_api.services import Services
from relayrun_api.streaming.sse import START, Position
from relayrun_core.database import Database
from relayrun_core.db.a2a import runs_of_task
from relayrun_core.db.finish import read_outcome
from relayrun_core.db.journal import END, read_page
from relayrun_core.db.rows import Thread
from relayrun_core.db.runs import get_run
from relayrun_core.db.threads import get_thread
from relayrun_core.ids import uuid_of
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus

#: In a run's metadata: which task it goes on with, and by which message it was asked for.
TASK, MESSAGE = "a2a_task_id", "a2a_message_id"
_LEFT = "The conversation went on without an answer."
_GIVEN_UP = "The task was canceled while it waited for an answer."


@dataclass(frozen=True)
class Task:
    """`runs`: all of the task's, in order. `waiting`: the last one's questions are still the thread's."""

    runs: tuple[Run, ...]
    thread: Thread
    #: Nobody is to answer it any more.
    canceled: bool = False

    @property
    def task_id(self) -> str:
        """The first run's id."""
        return str(self.runs[0].run_id)

    @property
    def context_id(self) -> str:
        """What the client calls the thread."""
        return self.thread.name or str(self.thread.thread_id)

    @property
    def last(self) -> Run:
        """The run that decides its state."""
        return self.runs[-1]

    @property
    def waiting(self) -> bool:
        """Whether the last run's question can be answered."""
        asks = self.last.status is RunStatus.INTERRUPTED and self.thread.run_count <= self.last.number
        return asks and not self.canceled

    def translator(self, run: Run) -> A2aTranslator:
        """For the journal of one of its runs."""
        return A2aTranslator(self.task_id, self.context_id, str(run.run_id), run.number)


async def find_task(services: Services, caller: Principal, task_id: str, assistant_id: UUID) -> Task:
    """The caller's task at this assistant. Raises RpcError (TaskNotFound)."""
    run_id = uuid_of(task_id)
    missing = RpcError(Code.TASK_NOT_FOUND, f"There is no task {task_id!r}: list yours, or send a message.")
    if run_id is None:
        raise missing
    try:
        run = await services.runs.visible(caller, run_id)
        task = await task_of(services.database, run)
    except RunNotFound as error:
        raise missing from error
    if run.assistant_id != assistant_id:
        raise RpcError(Code.TASK_NOT_FOUND, f"This agent has no task {task_id!r}: ask the agent that has it.")
    return task


async def task_of_run(database: Database, run_id: UUID) -> Task:
    """The task that a run belongs to. Raises RpcError when it was deleted meanwhile."""
    gone = RpcError(Code.TASK_NOT_FOUND, "The task was deleted meanwhile.")
    run = await get_run(database, run_id)
    if run is None:
        raise gone
    try:
        return await task_of(database, run)
    except RunNotFound as error:
        raise gone from error


async def task_of(database: Database, run: Run) -> Task:
    """The task that a run belongs to. Raises RunNotFound when it was deleted meanwhile."""
    first = uuid_of(str(run.spec.metadata.get(TASK) or "")) or run.run_id
    # The thread first: a run that is accepted meanwhile is then among the task's, and no question seems to be left.
    thread = await get_thread(database, run.thread_id)
    found = await runs_of_task(database, run.thread_id, first)
    if found is None or thread is None:
        raise RunNotFound(f"Run not found: {run.run_id}")
    return Task(found.runs, thread, found.canceled)


@dataclass(frozen=True)
class Replayed:
    """What the journal of a task's last run has told so far: the position, and the translator that is there."""

    translator: A2aTranslator
    position: Position = START
    ended: bool = False


async def replay(database: Database, task: Task, run: Run) -> Replayed:
    """Read all that a run has told until now."""
    translator, position, ended = task.translator(run), START, False
    while not ended and (page := await read_page(database, run.run_id, position.seq)) is not None:
        for event in page.events:
            ended = event.event == END
            output = await output_of_run(database, run) if ended else None
            translator.translate(event.event, event.data, output)
        position = Position(page.events[-1].seq)
    return Replayed(translator, position, ended)


async def output_of_run(database: Database, run: Run) -> Any:
    """The graph's output, for a run that ended."""
    outcome = await read_outcome(database, run.run_id)
    return None if outcome is None else loads(outcome.values)


async def snapshot(
    database: Database, task: Task, *, history: int | None = None, artifacts: bool = True
) -> tuple[Json, Replayed | None]:
    """The task as it is now, with its last `history` messages (None: all), and where the last run's journal is then."""
    replayed = [await replay(database, task, run) for run in task.runs] if artifacts else []
    status = await _status(database, task)
    told: Json = {"kind": "task", "id": task.task_id, "contextId": task.context_id, "status": status}
    if replayed and replayed[-1].position != START and status["state"] == "submitted":
        status["state"] = "working"  # its journal, which was read after its row, has begun
    if artifacts:
        found = [artifact.told() for one in replayed for artifact in one.translator.artifacts]
        if not found and task.last.status is RunStatus.SUCCESS:
            # Of a run that was started otherwise, or so long ago that its journal is gone.
            parts = output_parts(await output_of_run(database, task.last))
            found = [{"artifactId": f"{task.last.number}.1", "parts": parts}] if parts else []
        if found:
            told["artifacts"] = found
    messages = await _history(database, task)
    kept = messages if history is None else messages[len(messages) - history :] if history else []
    if kept:
        told["history"] = kept
    return told, replayed[-1] if replayed else None


async def _status(database: Database, task: Task) -> Json:
    run = task.last
    moment = run.finished_at or run.started_at or run.created_at
    questions: list[Json] = []
    said: Json | None = None
    if task.waiting:
        questions = await questions_of(database, run)
        said = question_message(task.task_id, task.context_id, str(run.run_id), questions)
    elif run.status is RunStatus.INTERRUPTED:
        words = _GIVEN_UP if task.canceled else _LEFT
        said = agent_message(task.task_id, task.context_id, f"{run.run_id}-left", parts_of_value(words))
        return {"state": "canceled", "timestamp": time_of(moment), "message": said}
    elif run.status in (RunStatus.ERROR, RunStatus.TIMEOUT):
        error = run.error or {"error": run.reason, "message": run.message}
        words = f"{error.get('error')}: {error.get('message')}"
        said = agent_message(task.task_id, task.context_id, f"{run.run_id}-error", parts_of_value(words))
    state = state_of_run(run.status, run.reason, questions)
    return {"state": state, "timestamp": time_of(moment), **({"message": said} if said else {})}


async def questions_of(database: Database, run: Run) -> list[Json]:
    """What a run waits for an answer to, as `{id, value}`."""
    outcome = await read_outcome(database, run.run_id)
    return outcome.questions if outcome else []


async def _history(database: Database, task: Task) -> list[Json]:
    messages: list[Json] = []
    for run in task.runs:
        if (parts := _parts_sent(run)) is not None:
            identity = run.spec.metadata.get(MESSAGE) or f"{run.run_id}-input"
            said = agent_message(task.task_id, task.context_id, str(identity), parts)
            messages.append({**said, "role": "user"})
        if run.status is RunStatus.INTERRUPTED and run is not task.last:
            asked = await questions_of(database, run)
            messages.append(question_message(task.task_id, task.context_id, str(run.run_id), asked))
    return messages


def _parts_sent(run: Run) -> list[Json] | None:
    """What asked for the run."""
    if run.spec.command is not None:
        answers: Sequence[Any] = [answer.value for answer in run.spec.answers]
        return [part for answer in answers for part in parts_of_value(answer)] or None
    given = run.spec.input
    if not isinstance(given, dict) or not given:
        return None
    messages = given.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    rest = {name: value for name, value in given.items() if name != "messages"}
    parts = parts_of_content(last.get("content")) if isinstance(last, dict) else []
    return [*parts, *([data_part(rest)] if rest else [])] or None


def is_over(task: Json) -> bool:
    """Whether nothing more happens to a task by itself."""
    state = task["status"]["state"]
    return state in TERMINAL or state.endswith("-required")


def time_of(moment: datetime) -> str:
    """A time as A2A has it: UTC, in milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
