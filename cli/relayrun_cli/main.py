"""The command `relayrun`: one module a verb, in `commands`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from relayrun_cli.errors import CliError
from relayrun_cli.output import plain
from relayrun_core import __version__

# Modules of `commands`, in the order in which --help lists them. Each registers the verb of its name, and some another.
_RUNS = ("run", "ps", "show", "output", "logs", "cancel", "retry", "threads")
_MODULES = ("new", "demo", "dev", "validate", "build", "up", *_RUNS, "keys", "revisions", "restart", "reset")


def command_line(modules: Iterable[str] = _MODULES) -> typer.Typer:
    """The verbs of these modules, and what the command takes without one."""
    cli = typer.Typer(
        help="Relayrun runs LangGraph agents. Whatever crashes, a run continues from its last completed step.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    cli.callback()(_options)
    for module in modules:
        import_module(f"relayrun_cli.commands.{module}").register(cli)
    return cli


def _print_version(asked: bool) -> None:
    if asked:
        print(f"relayrun {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What the command takes without a verb."""


def app() -> None:
    """The console script. Our own errors are one message and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An agent's text may have characters that the terminal's encoding has not.
            stream.reconfigure(errors="replace")
    # To import and describe all verbs takes 0.1 s, which a start of one need not spend.
    known = [verb for verb in sys.argv[1:2] if verb in _MODULES]
    try:
        command_line(known or _MODULES)()
    except CliError as error:
        said = escape(plain(str(error)))
        Console(stderr=True, highlight=False).print(f"[bold red]Error:[/] {said}", soft_wrap=True)
        sys.exit(error.exit_code)
