"""`relayrun validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from relayrun_cli.errors import CliError


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("validate")(validate)


def validate(
    config: Annotated[Path, typer.Option("--config", "-c", help="The agent's langgraph.json.")] = Path(
        "langgraph.json"
    ),
) -> None:
    """Check a langgraph.json: its form, the fate of each key, and that the files it names exist.

    Author code is not imported. Ends with 0 if the file can be used, else 1.
    """
    from relayrun_runner.config.load import load_config
    from relayrun_runner.config.places import is_a_file
    from relayrun_runner.environment import remarks
    from relayrun_runner.errors import ConfigError

    console = Console(highlight=False)
    try:
        read = load_config(config)
    except ConfigError as error:
        raise CliError(str(error)) from error
    missing = [
        f"{key}: {read.path(where)} does not exist"
        for key, reference in read.references.items()
        if is_a_file(where := reference.rpartition(":")[0]) and not read.path(where).is_file()
    ]
    if missing:
        raise CliError(f"{read.file}: {'; '.join(missing)}.")
    for warning in (*read.warnings, *read.notes, *remarks(read, env_wins=True)):
        console.print(f"[yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
    console.print(f"[green]OK[/] {escape(str(read.file))}: {', '.join(map(escape, read.graphs))}", soft_wrap=True)
