"""`relayrun demo`: a run that survives the loss of its runner, on this machine or on a cluster.

The demos are those of examples/steps, which the wheel has too.
"""

from __future__ import annotations

import runpy
import sys
from typing import Annotated

import typer

from relayrun_cli.errors import CliError


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("demo")(demo)


def demo(
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster", help="Run it on a cluster with the chart's sample agent, and delete its pod by force."
        ),
    ] = False,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="With --cluster: the namespace of the sample agent.")
    ] = "relayrun",
    context: Annotated[
        str | None, typer.Option(help="With --cluster: kubectl's context; default: the current one.")
    ] = None,
) -> None:
    """Run an agent, kill its runner in the middle, and watch the run continue. Takes under a minute.

    Needs nothing but this package: the demo starts `relayrun dev` in a temporary folder and removes it afterwards.
    """
    if not cluster:
        _run("examples.steps.demo")
        return
    from relayrun_cli.kind.tools import need_kubectl

    need_kubectl()
    _run("examples.steps.cluster_demo", "--namespace", namespace, *([] if context is None else ["--context", context]))


def _run(module: str, *arguments: str) -> None:
    from relayrun_cli import checkout

    if not (checkout.root() / "examples").is_dir():
        raise CliError("This image has no demo in it. Install all of Relayrun: pip install relayrun")
    sys.path.insert(0, str(checkout.root()))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")
