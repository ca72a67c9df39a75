"""Attends to a run that a command has started: leaves it alone, waits for it, or shows its progress."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import typer

from relayrun_cli.api import DEFAULT_URL, URL_VARIABLE, Api
from relayrun_cli.errors import ExitCode, NoApiError, RefusedError, UsageError
from relayrun_cli.events import Event, follow
from relayrun_cli.output import compact, print_json, stderr, stdout
from relayrun_cli.runs import RunRef, exit_code_of, get_run, status_of
from relayrun_cli.transcript import Transcript
from relayrun_core.printable import one_line

# Nothing passes this filter but the beginning and the end: who waits needs no more.
_QUIET = ("checkpoints",)
_SERVER_ERROR = 500


class Manner(Enum):
    """What `run` and `retry` do once the run is accepted."""

    SHOW = "show"
    WAIT = "wait"
    DETACH = "detach"


def attend(api: Api, run: RunRef, manner: Manner, *, as_json: bool) -> None:
    """See the run to its end and exit with the code that says how it was; with DETACH return at once."""
    if manner is Manner.DETACH:
        _print_ids(run, as_json=as_json)
        return
    with _detaching(api, run), refusals_are_usage():
        if manner is Manner.WAIT:
            for _ in follow(api, run, modes=_QUIET, on_lost=say_lost):
                pass
        else:
            if not as_json:
                stderr().print(f"Run {run.run_id} on thread {run.called}", style="dim")
            show(follow(api, run, on_lost=say_lost), as_json=as_json)
        ended = get_run(api, run)
        code = exit_code_of(ended)
        if manner is Manner.WAIT and code in (ExitCode.DONE, ExitCode.WAITING_FOR_INPUT):
            print_json(api.call("GET", f"{run.path}/join"), as_json=as_json)
        _say_ending(api, ended, run, code)
    raise typer.Exit(code)


def show(events: Iterator[Event], *, as_json: bool) -> None:
    """Print events as they come."""
    transcript = Transcript(stdout())
    try:
        for event in events:
            if as_json:
                print(compact(event.line()), flush=True)
            else:
                transcript.write(event)
    finally:
        if not as_json:
            transcript.break_line()


@contextmanager
def refusals_are_usage() -> Iterator[None]:
    """Within it, what the API refuses is a UsageError: the exit code 1 of `run` and `retry` is the graph's."""
    try:
        yield
    except RefusedError as error:
        if error.status >= _SERVER_ERROR:
            raise
        raise UsageError(str(error)) from error


def say_lost(error: NoApiError) -> None:
    """That the connection is gone, and that this is no reason to do anything."""
    why = error.__cause__ or error
    stderr().print(f"The connection was lost ({why}); going on as soon as the API answers.", style="yellow")


def command(api: Api, *words: str) -> str:
    """A command line to copy that reaches the same API."""
    known = api.url in (DEFAULT_URL, os.environ.get(URL_VARIABLE))
    return shlex.join(["relayrun", *words, *([] if known else ["--url", api.url])])


@contextmanager
def _detaching(api: Api, run: RunRef) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        stderr().print(
            f"\nDetached; the run goes on. Follow it: {command(api, 'logs', '-f', run.run_id)}\n"
            f"Stop it: {command(api, 'cancel', run.run_id)}"
        )
        raise typer.Exit(ExitCode.DETACHED) from None
    except NoApiError as error:
        raise NoApiError(
            f"{error} The run is kept; follow it when the API is back: {command(api, 'logs', '-f', run.run_id)}"
        ) from error


def _print_ids(run: RunRef, *, as_json: bool) -> None:
    if as_json:
        print_json({"run_id": run.run_id, "thread_id": run.thread_id}, as_json=True)
    elif stdout().is_terminal:
        stdout().print(f"Run {run.run_id} on thread {run.thread_id}")
    else:
        print(run.run_id, run.thread_id, flush=True)


def _say_ending(api: Api, run: dict[str, Any], ref: RunRef, code: ExitCode) -> None:
    console = stderr()
    match code:
        case ExitCode.DONE:
            return
        case ExitCode.WAITING_FOR_INPUT:
            answer = command(api, "run", str(run["graph"]), "--thread", ref.called, "--resume", "JSON")
            console.print(f"The run waits for input. Answer: {answer}", style="yellow")
        case ExitCode.STOPPED:
            console.print(f"The run ended as {status_of(run)}{_because(run.get('message'))}", style="yellow")
        case _:
            console.print(f"The run failed: {described_error(run)}", style="red")
            if (run.get("error") or {}).get("traceback"):  # it is for admins
                console.print(f"Its traceback: {command(api, 'show', ref.run_id)}")
            console.print(f"Go on from its checkpoint once the code is repaired: {command(api, 'retry', ref.run_id)}")


def described_error(run: dict[str, Any]) -> str:
    """A failed run's error on one line: its type, its node and its message."""
    error = run.get("error") or {}
    kind = error.get("error") or run.get("reason") or "error"
    node = f" in node {error['node']}" if error.get("node") else ""
    return one_line(f"{kind}{node}{_because(error.get('message') or run.get('message'))}")


def _because(message: str | None) -> str:
    return f": {message}" if message else "."
