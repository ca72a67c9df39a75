"""`relayrun cancel`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from relayrun_cli.api import DEFAULT_URL, Url, call


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("cancel")(cancel)


def cancel(
    run: Annotated[str, typer.Argument(help="The run's id, as relayrun ps shows it.")],
    url: Url = DEFAULT_URL,
    rollback: Annotated[bool, typer.Option("--rollback", help="Also undo what the run wrote to its thread.")] = False,
) -> None:
    """Cancel a run."""
    action = "rollback" if rollback else "interrupt"
    call(url, "DELETE", f"/runs/{quote(run, safe='')}?action={action}")
    typer.echo(f"Run {run} is being cancelled.")
