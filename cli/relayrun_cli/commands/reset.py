"""`relayrun reset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from relayrun_cli.dev.options import DATA_FOLDER
from relayrun_cli.errors import UsageError


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("reset")(reset)


def reset(
    config: Annotated[Path, typer.Option("--config", "-c", help="The agent's langgraph.json.")] = Path(
        "langgraph.json"
    ),
    data: Annotated[
        Path | None, typer.Option(help=f"The data folder; by default {DATA_FOLDER} beside langgraph.json.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an agent's local data: its embedded database, with all threads and runs.

    A database in DATABASE_URL is not touched.
    """
    import asyncio

    from relayrun_cli.postgres import remove_data
    from relayrun_cli.postgres.lock import LOCK_FILE

    console = Console(highlight=False)
    folder = (data or config.absolute().parent / DATA_FOLDER).absolute()
    if not folder.exists():
        console.print(f"There is no data: {folder} does not exist.", soft_wrap=True)
        return
    if not (folder / LOCK_FILE).exists():
        raise UsageError(f"{folder} is not a data folder of relayrun dev; nothing was deleted.")
    if not yes:
        typer.confirm(f"Delete {folder} with all threads and runs?", abort=True)
    asyncio.run(remove_data(folder))
    console.print(f"Deleted {folder}.", soft_wrap=True)
