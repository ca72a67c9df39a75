"""`relayrun new`: creates a small project to start with."""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from relayrun_cli.errors import CliError, UsageError

#: Each is a folder in `relayrun_cli/templates`.
TEMPLATES = {
    "chat": "a chat with a language model; it repeats what you say until you name one",
    "approval": "a graph that waits for a person's approval",
}
_DOTTED = ("gitignore", "env")
_LISTED = "; ".join(f"{name}: {what}" for name, what in TEMPLATES.items())


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("new")(new)


def new(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder of the project. It must be new or empty.")],
    template: Annotated[str, typer.Option(help=f"{_LISTED}.")] = "chat",
) -> None:
    """Create a small project, ready for `relayrun dev`."""
    if template not in TEMPLATES:
        raise UsageError(f"There is no template {template!r}. There are: {_LISTED}.")
    folder = path.absolute()
    try:
        if folder.exists() and any(folder.iterdir()):
            raise CliError(f"{folder} is not empty: name a new folder.")
        folder.mkdir(parents=True, exist_ok=True)
        with as_file(files("relayrun_cli") / "templates" / template) as source:
            _copy(source, folder, _project_name(folder))
    except OSError as error:
        raise CliError(f"{folder} cannot be written: {error.strerror or error}.") from error
    console = Console(highlight=False)
    console.print(f"[green]OK[/] {escape(str(folder))}", soft_wrap=True)
    there = "" if folder == Path.cwd() else f"cd {path} && "
    console.print(f"Start it: {escape(there)}relayrun dev", soft_wrap=True)


def _copy(source: Path, folder: Path, name: str) -> None:
    for file in sorted(source.rglob("*")):
        if not file.is_file() or "__pycache__" in file.parts:
            continue
        place = file.relative_to(source)
        target = folder / (place.with_name(f".{place.name}") if place.name in _DOTTED else place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text("utf-8").replace("NAME", name), "utf-8")


def _project_name(folder: Path) -> str:
    """The folder's name, as a distribution may be called."""
    return re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "agent"
