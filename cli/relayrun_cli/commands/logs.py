"""`relayrun logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from relayrun_cli.api import Api, AsJson, examples, with_api
from relayrun_cli.attending import say_lost, show
from relayrun_cli.errors import ExitCode
from relayrun_cli.events import FROM_THE_START, follow, replay
from relayrun_cli.output import stderr
from relayrun_cli.runs import UNFINISHED, RunRef, find_run

# Without --follow: an unfinished run that says nothing for so long has said what it had to say.
_QUIET_SECONDS = 1.0
# A finished run's journal is read to its end, however slow that is.
_PATIENT_SECONDS = 20.0


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command(
        "logs",
        epilog=examples(
            "relayrun logs -f refund-4711",
            "relayrun logs 0199a3c4-7b1e-7c60-9b8f-3f6f0a7d9e21 --json | jq .event",
        ),
    )(with_api(logs))


def logs(
    api: Api,
    run: Annotated[str, typer.Argument(metavar="RUN|THREAD", help="A run's id, or a thread: then its newest run.")],
    follow_it: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends, through every lost connection.")
    ] = False,
    after: Annotated[
        str, typer.Option("--last-event-id", metavar="ID", help="Begin behind this event.", show_default=False)
    ] = FROM_THE_START,
    as_json: AsJson = False,
) -> None:
    """Replay what a run has streamed: its journal, as it was and as it goes on."""
    found = find_run(api, run)
    ref = RunRef.of(found)
    unfinished = found["status"] in UNFINISHED
    if found["status"] == "pending":
        stderr().print("The run waits for its turn.", style="yellow")
    if not follow_it:
        quiet = _QUIET_SECONDS if unfinished else _PATIENT_SECONDS
        show(replay(api, ref, after=after, quiet_seconds=quiet), as_json=as_json)
        return
    try:
        show(follow(api, ref, after=after, on_lost=say_lost), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.DETACHED) from None
