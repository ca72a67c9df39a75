"""`relayrun ps`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relayrun_cli.api import DEFAULT_URL, Url, call

UNFINISHED = ("pending", "running")


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("ps")(ps)


def ps(
    url: Url = DEFAULT_URL,
    all_runs: Annotated[bool, typer.Option("--all", "-a", help="Finished runs too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Of how many threads, last used first.")] = 20,
) -> None:
    """List the runs that wait or execute, with --all the latest of each thread."""
    wanted: dict[str, Any] = {"limit": limit}
    if not all_runs:
        wanted["status"] = "busy"
    rows = [["RUN", "THREAD", "GRAPH", "STATUS", "ATTEMPT", "RUNNER"]]
    for thread in call(url, "POST", "/threads/search", wanted):
        runs = call(url, "GET", f"/threads/{thread['thread_id']}/runs?limit={5 if all_runs else 100}")
        rows += [_row(thread, run) for run in runs if all_runs or run["status"] in UNFINISHED]
    if len(rows) > 1:
        _print_columns(rows)
    else:
        typer.echo("No runs." if all_runs else "No run waits or executes; --all shows finished ones too.", err=True)


def _print_columns(rows: list[list[str]]) -> None:
    # Never cropped to the terminal's width: ids are there to be copied, and to be piped.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(thread: dict[str, Any], run: dict[str, Any]) -> list[str]:
    cells = [
        run["run_id"],
        thread.get("name") or thread["thread_id"],
        run.get("graph"),
        run["status"],
        run.get("attempt"),
        run.get("runner") or "",
    ]
    return [str(cell) for cell in cells]
