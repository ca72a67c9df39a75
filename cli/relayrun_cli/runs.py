"""Finds runs by the name or id that a person gives, and says how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_cli.api import Api, quoted
from relayrun_cli.errors import NOT_FOUND, CliError, ExitCode, RefusedError

UNFINISHED = ("pending", "running")
_SECONDS = 30.0


@dataclass(frozen=True)
class RunRef:
    """A run and its thread, by their ids; `called` is what the person calls the thread."""

    run_id: str
    thread_id: str
    called: str

    @classmethod
    def of(cls, run: dict[str, Any], called: str | None = None) -> RunRef:
        """The ids of a run as the API tells it."""
        return cls(run["run_id"], run["thread_id"], called or run["thread_id"])

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/threads/{quoted(self.thread_id)}/runs/{quoted(self.run_id)}"


def find_run(api: Api, called: str) -> dict[str, Any]:
    """The run with this id, or the newest run of the thread that is called so. Raises as `find_runs` does."""
    return find_runs(api, called, limit=1)[0]


def find_runs(api: Api, called: str, *, limit: int) -> list[dict[str, Any]]:
    """The run with this id, or the runs of the thread that is called so, newest first; at least one.

    Raises CliError if there is none.
    """
    try:
        runs = api.call("GET", f"/threads/{quoted(called)}/runs?limit={limit}")
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        if (run := _by_id(api, called)) is not None:
            return [run]
        sentence = f"There is no run or thread {called}: relayrun ps --all lists them."
        raise RefusedError(sentence, error.status) from error
    if not runs:
        raise CliError(f"Thread {called} has no runs: start one with relayrun run GRAPH --thread {called}")
    return list(runs)


def get_run(api: Api, run: RunRef) -> dict[str, Any]:
    """The run as it is now."""
    return dict(api.call("GET", run.path))


def status_of(run: dict[str, Any]) -> str:
    """The run's status in one word. To the Agent Server a cancelled run is interrupted, one that asks a success."""
    return {"Cancelled": "cancelled", "WaitingForInput": "interrupted"}.get(run.get("reason") or "", str(run["status"]))


def exit_code_of(run: dict[str, Any]) -> ExitCode:
    """How a command ends that waited for this run's end."""
    match status_of(run):
        case "success":
            return ExitCode.DONE
        case "interrupted":
            return ExitCode.WAITING_FOR_INPUT
        case "cancelled" | "timeout":
            return ExitCode.STOPPED
        case _:
            return ExitCode.GRAPH_ERROR


def _by_id(api: Api, run_id: str) -> dict[str, Any] | None:
    """The run, found without its thread: the answer to a replay names both, before the first event."""
    if not _is_uuid(run_id):
        return None
    try:
        with api.stream(f"/chat/{run_id}", {}, silence_seconds=_SECONDS) as answer:
            location = answer.headers["content-location"]
    except RefusedError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    return dict(api.call("GET", location))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
