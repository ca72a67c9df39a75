"""`relayrun dockerfile` and `relayrun build`: an agent's image from its langgraph.json."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from relayrun_cli import docker
from relayrun_cli.errors import CliError
from relayrun_cli.images import IGNORED, AgentImage, agent_image

_CONFIG = typer.Option("--config", "-c", help="The agent's langgraph.json.")
_BASE = typer.Option("--base-image", help="The runner image to build on; default: relayrun-runner of this version.")


def register(cli: typer.Typer) -> None:
    """Add the verbs to the command line."""
    cli.command("build", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(build)
    cli.command("dockerfile")(dockerfile)


def build(
    context: typer.Context,
    tag: Annotated[str, typer.Option("--tag", "-t", help="The image's name, as in docker build.")],
    config: Annotated[Path, _CONFIG] = Path("langgraph.json"),
    base_image: Annotated[str | None, _BASE] = None,
    pull: Annotated[bool, typer.Option(help="Pull a newer base image first, if there is one.")] = False,
) -> None:
    """Build an agent's image from a langgraph.json. Unknown options are passed to docker build.

    Builds the runner image for the file's `python_version` first if it is missing. Exits with docker's exit code.
    """
    raise typer.Exit(build_agent(config, tag, base_image, context.args, pull=pull))


def build_agent(
    config: Path, tag: str, base_image: str | None = None, arguments: Sequence[str] = (), *, pull: bool = False
) -> int:
    """Build an agent's image and what it stands on; the exit code is docker's."""
    image, folder = _read(config, base_image)
    if image.python is not None:
        # It is made here: no registry has it.
        docker.ensure_part("runner", image.python, pull=pull)
    with tempfile.TemporaryDirectory(prefix="relayrun-build-") as made:
        file = Path(made) / "Dockerfile"
        file.write_text(image.dockerfile)
        own = folder / ".dockerignore"
        ignored = own.read_text().splitlines() if own.is_file() else []
        file.with_name("Dockerfile.dockerignore").write_text("\n".join([*ignored, *IGNORED]) + "\n")
        also = ["--pull"] if pull and image.python is None else []
        return docker.build([*also, *arguments], tag=tag, file=file, context=folder)


def dockerfile(
    save_path: Annotated[Path | None, typer.Argument(help="The file to write; default: standard output.")] = None,
    config: Annotated[Path, _CONFIG] = Path("langgraph.json"),
    base_image: Annotated[str | None, _BASE] = None,
) -> None:
    """Write the Dockerfile that `build` would use. Its context is where the paths of langgraph.json start."""
    image, _ = _read(config, base_image)
    if save_path is None:
        typer.echo(image.dockerfile, nl=False)
    else:
        save_path.write_text(image.dockerfile)


def _read(config: Path, base_image: str | None) -> tuple[AgentImage, Path]:
    from relayrun_runner.config.environment import remarks
    from relayrun_runner.config.load import load_config
    from relayrun_runner.errors import ConfigError

    try:
        read = load_config(config)
    except ConfigError as error:
        raise CliError(str(error)) from error
    image = agent_image(read, base_image)
    console = Console(stderr=True, highlight=False)
    for warning in (*read.warnings, *read.notes, *remarks(read), *image.warnings):
        console.print(f"[yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
    return image, read.folder
