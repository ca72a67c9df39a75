"""`relayrun show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relayrun_cli.api import Api, AsJson, examples, quoted, with_api
from relayrun_cli.attending import described_error
from relayrun_cli.errors import NOT_FOUND, RefusedError
from relayrun_cli.output import age, compact, print_json, shortened, stdout
from relayrun_cli.runs import find_run, status_of
from relayrun_core.printable import one_line


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("show", epilog=examples("relayrun show refund-4711", "relayrun show RUN_ID --json"))(with_api(show))


def show(
    api: Api,
    called: Annotated[str, typer.Argument(metavar="THREAD|RUN", help="A thread's name or id, or a run's id.")],
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="How many of the thread's runs to show, newest first.")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Show a thread with its runs and values, or a run and how it ended. Admins also see an error's traceback."""
    path = f"/threads/{quoted(called)}"
    try:
        thread = api.call("GET", path)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        _show_run(find_run(api, called), as_json=as_json)
        return
    runs = api.call("GET", f"{path}/runs?limit={limit}")
    if as_json:
        print_json({**thread, "runs": runs}, as_json=True)
    else:
        _show_thread(thread, runs)


def _show_thread(thread: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    _fact("Thread", f"{thread.get('name') or thread['thread_id']}  {thread['thread_id']}")
    _fact("Status", thread["status"])
    for asked in (entry for entries in (thread.get("interrupts") or {}).values() for entry in entries):
        _fact("Waits", f"{compact(asked['value'])}  {asked['id']}")
    for run in runs:
        _fact("Run", f"{run['run_id']}  {_described(run)}")
    if thread.get("values"):
        print_json(thread["values"], as_json=False)


def _show_run(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(run, as_json=True)
        return
    asked, error = run["kwargs"], run.get("error") or {}
    _fact("Run", run["run_id"])
    _fact("Thread", run["thread_id"])
    _fact("Graph", str(run.get("graph")))
    _fact("Status", f"{_described(run)}, {age(run['created_at'])} old")
    if asked.get("command") is None:
        _fact("Input", shortened(compact(asked.get("input"))))
    else:
        _fact("Command", shortened(compact(asked["command"])))
    if error:
        _fact("Error", described_error(run))
    if error.get("traceback"):
        stdout().print(error["traceback"].rstrip())


def _fact(name: str, text: str) -> None:
    console = stdout()
    console.print(f"{name:<8}", style="bold", end="")
    console.print(one_line(text))


def _described(run: dict[str, Any]) -> str:
    words = [status_of(run), f"attempt {run.get('attempt', '?')}"]
    return ", ".join([*words, *(str(run[key]) for key in ("reason", "message", "runner") if run.get(key))])
