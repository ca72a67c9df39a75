"""The command `relayrun`: one module a verb, in `commands`."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from relayrun_cli.commands import (
    build,
    cancel,
    demo,
    dev,
    keys,
    logs,
    new,
    output,
    ps,
    reset,
    restart,
    retry,
    revisions,
    run,
    show,
    threads,
    up,
    validate,
)
from relayrun_cli.errors import CliError
from relayrun_cli.output import plain
from relayrun_core import __version__

cli = typer.Typer(
    help="Relayrun runs LangGraph agents. Whatever crashes, a run continues from its last completed step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"relayrun {__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What the command takes without a verb."""


_RUNS = (run, ps, show, output, logs, cancel, retry, threads)
for module in (new, demo, dev, validate, build, up, *_RUNS, keys, revisions, restart, reset):
    module.register(cli)


def app() -> None:
    """The console script. Our own errors are one message and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An agent's text may have characters that the terminal's encoding has not.
            stream.reconfigure(errors="replace")
    try:
        cli()
    except CliError as error:
        said = escape(plain(str(error)))
        Console(stderr=True, highlight=False).print(f"[bold red]Error:[/] {said}", soft_wrap=True)
        sys.exit(error.exit_code)
