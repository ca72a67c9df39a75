"""`relayrun output`."""

from __future__ import annotations

from typing import Annotated

import typer

from relayrun_cli.api import Api, AsJson, examples, with_api
from relayrun_cli.errors import CliError
from relayrun_cli.output import print_json
from relayrun_cli.runs import UNFINISHED, RunRef, find_run

_WITH_VALUES = ("success", "interrupted")


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("output", epilog=examples("relayrun output RUN_ID", "relayrun output refund-4711 --json"))(
        with_api(output)
    )


def output(
    api: Api,
    run: Annotated[str, typer.Argument(metavar="RUN|THREAD", help="The id of a run, or a thread: its newest run.")],
    as_json: AsJson = False,
) -> None:
    """Print the output of a run that has ended, or its values so far if it waits for input."""
    found = find_run(api, run)
    ref = RunRef.of(found)
    if found["status"] in UNFINISHED:
        raise CliError(f"Run {ref.run_id} has not ended: relayrun logs --follow {ref.run_id} shows what it does.")
    if found["status"] not in _WITH_VALUES:
        raise CliError(f"Run {ref.run_id} has no output, its status is {found['status']}: relayrun show says why.")
    print_json(api.call("GET", f"{ref.path}/join"), as_json=as_json)
