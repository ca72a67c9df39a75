"""`relayrun restart`: new runners for an Agent in a cluster, as `kubectl rollout restart` makes new pods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from relayrun_cli.errors import CliError
from relayrun_cli.kind.tools import call, need_kubectl

_LOOK_SECONDS = 1.0


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command("restart", epilog="Example: kubectl relayrun restart support -n agents --wait")(restart)


def restart(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The Agent's name in the cluster.")],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The namespace; default: that of kubectl's context.")
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", help="kubectl's context; default: the current one.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all runners are replaced.")] = False,
    timeout: Annotated[int, typer.Option(min=1, help="With --wait: the most seconds to wait.")] = 600,
) -> None:
    """Replace the runners of an Agent on a cluster. Each run continues on a new runner at its next step."""
    from relayrun_core.kinds import GROUP  # late: no other verb pays for the kinds' models

    need_kubectl()
    flags = [*(["--context", context] if context else []), *(["-n", namespace] if namespace else [])]
    kubectl = ["kubectl", *flags]
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    # Another template, whose runners replace those that are there.
    patch = {"spec": {"podTemplate": {"metadata": {"annotations": {f"{GROUP}/restartedAt": now}}}}}
    call([*kubectl, "patch", f"agents.{GROUP}", agent, "--type=merge", "-p", json.dumps(patch)])
    typer.echo(f"Agent {agent} is restarting: its runners are replaced one after the other.")
    if wait:
        _wait(lambda: json.loads(call([*kubectl, "get", f"agents.{GROUP}", agent, "-o", "json"])), timeout)
        typer.echo(f"All runners of Agent {agent} were replaced.")


def _wait(look: Callable[[], dict[str, Any]], timeout: int) -> None:
    until = time.monotonic() + timeout
    while True:
        found = look()
        if is_rolled_out(found):
            return
        if time.monotonic() >= until:
            said = [f"{one['type']}: {one['message']}" for one in found["status"].get("conditions", [])]
            raise CliError(f"After {timeout} s, some runners are not replaced yet. {'; '.join(said)}")
        time.sleep(_LOOK_SECONDS)


def is_rolled_out(agent: dict[str, Any]) -> bool:
    """Whether an Agent's status is about its newest spec, and all its runners are of that."""
    status, conditions = agent.get("status") or {}, (agent.get("status") or {}).get("conditions") or ()
    seen = status.get("observedGeneration", -1) >= agent["metadata"]["generation"]
    holds = {one["type"] for one in conditions if one["status"] == "True"}
    return seen and "Ready" in holds and "Reconciling" not in holds
