"""`relayrun logs`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from relayrun_cli.api import Api, AsJson, examples, with_api
from relayrun_cli.attending import say_lost, show
from relayrun_cli.errors import ExitCode, UsageError
from relayrun_cli.events import FROM_THE_START, follow, replay
from relayrun_cli.output import stderr
from relayrun_cli.printed import Wanted, follow_printed, printed, show_printed
from relayrun_cli.runs import UNFINISHED, RunRef, find_run

# Without --follow: an unfinished run that says nothing for so long has said what it had to say.
_QUIET_SECONDS = 1.0
# A finished run's journal is read to its end, however slow that is.
_PATIENT_SECONDS = 20.0
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command(
        "logs",
        epilog=examples(
            "relayrun logs -f refund-4711",
            "relayrun logs --output refund-4711 --since 10m",
            "relayrun logs 0199a3c4-7b1e-7c60-9b8f-3f6f0a7d9e21 --json | jq .event",
        ),
    )(with_api(logs))


def logs(
    api: Api,
    run: Annotated[str, typer.Argument(metavar="RUN|THREAD", help="The id of a run, or a thread: its newest run.")],
    follow_it: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the run until it ends. Reconnects if the connection is lost.")
    ] = False,
    after: Annotated[
        str,
        typer.Option("--last-event-id", metavar="ID", help="Start after this event or line.", show_default=False),
    ] = FROM_THE_START,
    output: Annotated[
        bool, typer.Option("--output", help="Show what the run's code printed and logged instead.")
    ] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="With --output: only this attempt.")] = None,
    since: Annotated[str | None, typer.Option(help="With --output: only lines newer than 30s, 10m, 12h, 30d.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the events of a run, from its journal. With -f, follow it until it ends."""
    if not output and (attempt is not None or since is not None):
        raise UsageError("--attempt and --since are for what the run printed: write --output too.")
    wanted = Wanted(None if after == FROM_THE_START else after, attempt, None if since is None else _seconds(since))
    found = find_run(api, run)
    ref = RunRef.of(found)
    unfinished = found["status"] in UNFINISHED
    if found["status"] == "pending":
        stderr().print("The run waits for its turn.", style="yellow")
    if output and not follow_it:
        show_printed(printed(api, ref, wanted), as_json=as_json)
        return
    if not follow_it:
        quiet = _QUIET_SECONDS if unfinished else _PATIENT_SECONDS
        show(replay(api, ref, after=after, quiet_seconds=quiet), as_json=as_json)
        return
    try:
        if output:
            show_printed(follow_printed(api, ref, wanted, on_lost=say_lost), as_json=as_json)
            return
        show(follow(api, ref, after=after, on_lost=say_lost), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.DETACHED) from None


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([1-9]\d{0,6})([smhd])", text)
    if found is None:
        raise UsageError(f"--since {text} is not a duration: write a number and s, m, h or d, for example 10m.")
    return int(found[1]) * _UNIT_SECONDS[found[2]]
