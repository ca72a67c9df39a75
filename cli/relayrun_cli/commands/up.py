"""`relayrun up` and `relayrun down`: the project on a Kubernetes cluster on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relayrun_cli.dev.banner import Screen
from relayrun_cli.errors import CliError

if TYPE_CHECKING:
    from relayrun_cli.kind.cluster import KindCluster
    from relayrun_runner.config.model import Config

DEFAULT_PORT = 8000
ANSWER_SECONDS = 120.0
POLL_SECONDS = 0.25
_CONFIG = typer.Option("--config", "-c", help="The agent's langgraph.json.")
_NAME = typer.Option(help="The name of the Agent; default: the folder's. The cluster is named relayrun-NAME.")


def register(cli: typer.Typer) -> None:
    """Add the verbs to the command line."""
    cli.command("up")(up)
    cli.command("down")(down)


def up(
    config: Annotated[Path, _CONFIG] = Path("langgraph.json"),
    name: Annotated[str | None, _NAME] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"The API's port; without it {DEFAULT_PORT}, or the next free one."),
    ] = None,
    node_image: Annotated[
        str | None, typer.Option(envvar="KIND_NODE_IMAGE", help="The image of the kind node; default: kind's own.")
    ] = None,
) -> None:
    """Run the project on a local Kubernetes cluster: kind, with Relayrun, a Postgres and the Agent.

    Needs Docker, kind, kubectl and Helm. Run it again after a change: only what changed is replaced.
    """
    from relayrun_cli.kind.cluster import KindCluster
    from relayrun_cli.kind.release import project_name
    from relayrun_cli.kind.tools import need

    read = _config(config)
    need("docker", "kind", "kubectl", "helm")
    agent = project_name(name, read.folder)
    cluster = KindCluster(agent)
    address = f"http://127.0.0.1:{_port(cluster, port, node_image)}"
    _install(cluster, read, agent)
    _wait_until_it_serves(cluster, agent, address)
    where = f"kubectl --context {cluster.context} -n relayrun get agents,agentruns"
    Screen().banner({"API": address, "Docs": f"{address}/docs", "Agent": agent})
    Screen().say(f"Look at it: {where}")


def down(
    config: Annotated[Path, _CONFIG] = Path("langgraph.json"),
    name: Annotated[str | None, _NAME] = None,
) -> None:
    """Remove the cluster that `relayrun up` made, with its database."""
    from relayrun_cli.kind.cluster import KindCluster
    from relayrun_cli.kind.release import project_name
    from relayrun_cli.kind.tools import need

    need("docker", "kind")
    cluster = KindCluster(project_name(name, config.absolute().parent))
    if cluster.exists():
        cluster.delete()
        Screen().say(f"The cluster {cluster.name} is removed.")
    else:
        Screen().say(f"There is no cluster {cluster.name}.")


def _config(file: Path) -> Config:
    from relayrun_runner.config.load import load_config
    from relayrun_runner.errors import ConfigError

    try:
        return load_config(file)
    except ConfigError as error:
        raise CliError(str(error)) from error


def _port(cluster: KindCluster, asked: int | None, node_image: str | None) -> int:
    """The API's port of this machine; the cluster is made where there is none."""
    from relayrun_cli.dev.ports import choose_port

    if cluster.exists():
        port = cluster.port()
        if asked not in (None, port):
            raise CliError(
                f"The cluster {cluster.name} uses port {port}, which cannot change: `relayrun down` removes it."
            )
        return port
    port = choose_port("127.0.0.1", asked, DEFAULT_PORT)
    Screen().say(f"Making the cluster {cluster.name}…")
    cluster.create(port, node_image)
    return port


def _install(cluster: KindCluster, config: Config, agent: str) -> None:
    from relayrun_cli import checkout, docker
    from relayrun_cli.commands.build import build_agent
    from relayrun_cli.images import agent_image
    from relayrun_cli.kind import release
    from relayrun_cli.kind.cluster import local_image, pulled

    python = agent_image(config).python or docker.PYTHON_VERSIONS[0]
    built = f"relayrun-agent-{agent}:latest"
    if code := build_agent(config.file, built):
        raise typer.Exit(code)
    parts = {"operator": docker.ensure_part("operator"), "api": docker.ensure_part("api")}
    parts["runner"] = docker.ensure_part("runner", python)
    images = {part: local_image(f"relayrun-{part}", source) for part, source in parts.items()}
    project = local_image(f"relayrun-agent-{agent}", built)
    Screen().say("Loading the images into the cluster…")
    cluster.load([*images.values(), project, pulled(release.POSTGRES_IMAGE)])
    Screen().say("Installing Relayrun…")
    chart = str(checkout.chart())
    wait = ("--create-namespace", "--wait", "--timeout", "5m")
    values = release.chart_values(config, agent, images)
    cluster.helm("upgrade", "--install", "relayrun", chart, "-n", release.NAMESPACE, *wait, values=values)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(release.agent(agent, project)))


def _wait_until_it_serves(cluster: KindCluster, agent: str, address: str) -> None:
    import httpx

    Screen().say("Waiting for the runners…")

    def ready() -> str | None:
        found = json.loads(cluster.kubectl("-n", "relayrun", "get", "agent", agent, "-o", "json"))
        status = found.get("status", {})
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return "the operator has not seen it yet"
        # Ready is True as long as old runners are: what was built just now needs a runner, too.
        newest = [each for each in status.get("runners", []) if each.get("revision") == status.get("currentRevision")]
        if any(each["state"] == "ready" for each in newest):
            return None
        said = [f"{each.get('reason')}: {each.get('message')}" for each in status.get("conditions", [])]
        return "; ".join(said) or "it has no status yet"

    def answers() -> str | None:
        try:
            status = httpx.get(f"{address}/ok", timeout=5).status_code
        except httpx.TransportError as error:
            return str(error) or type(error).__name__
        return None if status == httpx.codes.OK else f"status {status}"

    _wait(ready, f"The Agent {agent} is not ready")
    _wait(answers, f"{address} does not answer")


def _wait(problem: Callable[[], str | None], sentence: str) -> None:
    end = time.monotonic() + ANSWER_SECONDS
    while (trouble := problem()) is not None:
        if time.monotonic() > end:
            raise CliError(f"{sentence} after {ANSWER_SECONDS:.0f} s: {trouble}")
        time.sleep(POLL_SECONDS)
