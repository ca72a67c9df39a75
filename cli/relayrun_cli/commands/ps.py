"""`relayrun ps`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relayrun_cli.api import Api, AsJson, examples, with_api
from relayrun_cli.output import age, print_columns, print_json, stderr
from relayrun_cli.runs import UNFINISHED, status_of

_EACH_THREADS_LATEST = 5
_HEADER = ["RUN", "THREAD", "GRAPH", "STATUS", "ATTEMPT", "RUNNER", "AGE"]


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("ps", epilog=examples("relayrun ps", "relayrun ps --all --json"))(with_api(ps))


def ps(
    api: Api,
    all_runs: Annotated[bool, typer.Option("--all", "-a", help="Include finished runs.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many threads to look at, last used first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List unfinished runs, or with --all the latest run of each thread."""
    wanted: dict[str, Any] = {"limit": limit}
    if not all_runs:
        wanted["status"] = "busy"
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for thread in api.call("POST", "/threads/search", wanted):
        runs = api.call("GET", f"/threads/{thread['thread_id']}/runs?limit={_EACH_THREADS_LATEST if all_runs else 100}")
        found += [(thread, run) for run in runs if all_runs or run["status"] in UNFINISHED]
    if as_json:
        print_json([run for _, run in found], as_json=True)
    elif found:
        print_columns(_HEADER, [_row(thread, run) for thread, run in found])
    else:
        stderr().print("No runs." if all_runs else "No run waits or executes; --all shows finished ones too.")


def _row(thread: dict[str, Any], run: dict[str, Any]) -> list[str]:
    cells = [
        run["run_id"],
        thread.get("name") or thread["thread_id"],
        run.get("graph"),
        status_of(run),
        run.get("attempt"),
        run.get("runner") or "-",
        age(run.get("created_at")),
    ]
    return [str(cell) for cell in cells]
