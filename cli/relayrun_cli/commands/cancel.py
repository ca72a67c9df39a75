"""`relayrun cancel`."""

from __future__ import annotations

from typing import Annotated

import typer

from relayrun_cli.api import Api, examples, with_api
from relayrun_cli.errors import CliError
from relayrun_cli.runs import UNFINISHED, RunRef, find_runs

# Longer than a node's grace and a reconciler's round.
_ENDING_SECONDS = 120.0


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("cancel", epilog=examples("relayrun cancel refund-4711", "relayrun cancel RUN_ID --rollback"))(
        with_api(cancel)
    )


def cancel(
    api: Api,
    run: Annotated[
        str, typer.Argument(metavar="RUN|THREAD", help="The id of a run, or a thread: all of its unfinished runs.")
    ],
    rollback: Annotated[bool, typer.Option("--rollback", help="Also undo what the run wrote to its thread.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run has ended.")] = False,
) -> None:
    """Cancel a run. It keeps what it has done, or with --rollback is removed."""
    # Newest first: else the next one would start when the one before it ends.
    refs = [RunRef.of(found) for found in find_runs(api, run, limit=1000) if found["status"] in UNFINISHED]
    if not refs:
        raise CliError(f"{run} has ended already: there is nothing to cancel.")
    action = "rollback" if rollback else "interrupt"
    for ref in refs:
        api.call("POST", f"{ref.path}/cancel?action={action}&wait={str(wait).lower()}", seconds=_ENDING_SECONDS)
        typer.echo(f"Run {ref.run_id} is cancelled." if wait else f"Run {ref.run_id} is being cancelled.")
