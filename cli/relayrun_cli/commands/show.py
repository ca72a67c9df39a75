"""`relayrun show`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.json import JSON
from rich.markup import escape

from relayrun_cli.api import DEFAULT_URL, Url, call


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("show")(show)


def show(
    thread: Annotated[str, typer.Argument(help="The thread's name or id.")],
    url: Url = DEFAULT_URL,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of its runs, newest first.")] = 5,
) -> None:
    """Show a thread: its status, what it waits for, its values and its runs."""
    path = f"/threads/{quote(thread, safe='')}"
    found = call(url, "GET", path)
    runs = call(url, "GET", f"{path}/runs?limit={limit}")
    console = Console(highlight=False)
    console.print(f"[bold]Thread[/] {escape(str(found.get('name') or thread))}  {found['thread_id']}")
    console.print(f"[bold]Status[/] {escape(found['status'])}")
    for interrupt in (entry for entries in (found.get("interrupts") or {}).values() for entry in entries):
        console.print(f"[bold]Waits[/]  {escape(str(interrupt['value']))}  [dim]{escape(interrupt['id'])}[/]")
    for run in runs:
        console.print(f"[bold]Run[/]    {run['run_id']}  {_described(run)}")
    if found.get("values"):
        console.print(JSON.from_data(found["values"]))


def _described(run: dict[str, Any]) -> str:
    words = [run["status"], f"attempt {run.get('attempt', '?')}"]
    words += [str(run[key]) for key in ("reason", "message", "runner") if run.get(key)]
    return escape(", ".join(words))
