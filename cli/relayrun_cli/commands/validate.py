"""`relayrun validate`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from relayrun_cli.errors import CliError
from relayrun_cli.requirements import check_requirements

if TYPE_CHECKING:
    from relayrun_runner.config.model import Config


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("validate")(validate)


def validate(
    config: Annotated[Path, typer.Option("--config", "-c", help="The agent's langgraph.json.")] = Path(
        "langgraph.json"
    ),
    load: Annotated[
        bool, typer.Option("--load", help="Also import everything it names in a new process, and draw the graphs.")
    ] = False,
) -> None:
    """Check a langgraph.json: its syntax, what Relayrun does with each key, and that the files it names exist.

    Imports your code only with --load. Exits with 0 if the file can be used, else with 1.
    """
    check_requirements()
    from relayrun_runner.config.environment import remarks
    from relayrun_runner.config.load import load_config
    from relayrun_runner.config.model import is_a_file
    from relayrun_runner.errors import ConfigError

    console = Console(highlight=False)
    try:
        read = load_config(config)
    except ConfigError as error:
        raise CliError(str(error)) from error
    places = {key: reference.rpartition(":")[0] for key, reference in read.references.items()}
    files = {key: read.path(where) for key, where in places.items() if is_a_file(where)}
    missing = [f"{key}: {file} does not exist" for key, file in files.items() if not file.is_file()]
    if missing:
        raise CliError(f"{read.file}: {'; '.join(missing)}.")
    for warning in (*read.warnings, *read.notes, *remarks(read, env_wins=True)):
        console.print(f"[yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
    if load:
        _load(read)
    console.print(f"[green]OK[/] {escape(str(read.file))}: {', '.join(map(escape, read.graphs))}", soft_wrap=True)
    modules = [where for key, where in places.items() if key not in files]
    packages = [entry for entry in read.dependencies if not read.path(entry).exists() and not entry.startswith(".")]
    for word, things in _checked(list(dict.fromkeys(files.values())), modules, packages, load=load).items():
        console.print(f"{word}: {escape('; '.join(things))}.", soft_wrap=True)


def _checked(files: list[Path], modules: list[str], packages: list[str], *, load: bool) -> dict[str, list[str]]:
    """What was checked, and what was not."""
    checked, not_checked = ["the form of the file", "every key"], []
    if files:
        checked.append(f"that {', '.join(map(str, files))} exist" + ("" if len(files) > 1 else "s"))
    if load:
        checked.append("that the code can be imported and the graphs drawn")
        not_checked.append("whether http.app starts, and whether models and other services answer")
    else:
        not_checked.append("whether the code can be imported (--load imports it)")
        not_checked += [f"whether there is a module {', '.join(modules)}"] if modules else []
    not_checked += [f"whether {', '.join(packages)} can be installed (build installs it)"] if packages else []
    return {"Checked": checked, "Not checked": not_checked}


def _load(config: Config) -> None:
    """Import everything in a process of its own. Raises CliError if that fails; it has said itself why."""
    from relayrun_core.process.secrets import without_secrets

    # -P: as a runner is started.
    command = [sys.executable, "-P", "-m", "relayrun_runner.check", str(config.file)]
    ended = subprocess.run(command, cwd=config.folder, env=without_secrets(os.environ), check=False)
    if ended.returncode != 0:
        raise CliError(f"{config.file}: not everything loads; see above.")
