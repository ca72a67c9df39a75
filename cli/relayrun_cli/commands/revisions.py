"""`relayrun revisions`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relayrun_cli.api import Api, AsJson, examples, quoted, with_api
from relayrun_cli.output import age, print_columns, print_json, stderr

_COLUMNS = ["REVISION", "IMAGE", "AGE", "RUNNERS", "OPEN THREADS", "STATE"]


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("revisions", epilog=examples("relayrun revisions support", "kubectl relayrun revisions support"))(
        with_api(revisions)
    )


def revisions(
    api: Api, agent: Annotated[str, typer.Argument(metavar="AGENT", help="The Agent.")], as_json: AsJson = False
) -> None:
    """List the revisions of an Agent, newest first, with the open threads of each."""
    found = api.call("GET", f"/relayrun/revisions/{quoted(agent)}")
    if as_json:
        print_json(found, as_json=True)
    elif found:
        print_columns(_COLUMNS, [_row(revision) for revision in found])
    else:
        stderr().print(f"No revisions of {agent}: it is no Agent of a cluster, or the operator has not seen it yet.")


def _row(revision: dict[str, Any]) -> list[str]:
    counts = [str(revision["runners"]), str(revision["open_threads"])]
    return [revision["name"], revision["image"], age(revision["created_at"]), *counts, _state(revision)]


def _state(revision: dict[str, Any]) -> str:
    if revision["current"]:
        return "current"
    if (until := revision.get("pinned_until")) is not None:
        return f"pinned until {until}"
    return "replaced"
