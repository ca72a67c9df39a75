"""The Dockerfile of an agent's image, from its langgraph.json. Pure: no Docker, no files written.

The image is the runner's with the agent's folder in /app, its dependencies installed beside the runner's own.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relayrun_cli.docker import PYTHON_VERSIONS, part_image
from relayrun_cli.errors import CliError

if TYPE_CHECKING:
    from relayrun_runner.config.model import Config

#: What never goes into an image, beside what the folder's own .dockerignore names.
IGNORED = (".git", ".venv", ".relayrun", ".langgraph_api", "**/__pycache__", "**/.mypy_cache", "**/.pytest_cache")

_WITHOUT_MEANING = {
    "api_version": "the runner's image decides the version",
    "image_distro": "the runner's image decides the distribution",
    "keep_pkg_tools": "pip stays in the image",
    "source": "name local folders in dependencies",
    "_INTERNAL_docker_tag": "it names an image of LangGraph's",
}
_PIP = "pip --python /opt/relayrun/bin/python install --no-cache-dir --root-user-action=ignore"
_UV = "uv pip install --python /opt/relayrun/bin/python --no-cache --compile-bytecode"
# An agent's own dependencies may have replaced a library by one that does not fit: better told now than by the pods.
_CHECK = "RUN /opt/relayrun/bin/python -P -m relayrun_core.requirements relayrun-runner"
# A runner may not write any, and without bytecode each start compiles all over again. Not all that lies in a folder is
# code that compiles: what does not is told, and is nobody's concern until somebody imports it.
_COMPILE = "RUN /opt/relayrun/bin/python -m compileall -q /app || true"


@dataclass(frozen=True)
class AgentImage:
    """A Dockerfile, and what a person should know about it."""

    dockerfile: str
    #: Of the runner image that it is built on; None where that is not one of ours.
    python: str | None = None
    warnings: list[str] = field(default_factory=list)


def agent_image(config: Config, base_image: str | None = None) -> AgentImage:
    """The Dockerfile for a build whose context is where the config's paths start. Raises CliError if there is none."""
    build = config.build
    warnings = [f"{key} has no effect: {why}" for key, why in _WITHOUT_MEANING.items() if key in build]
    named = base_image or _named_base(build, warnings)
    python = None if named else _python(build)
    lines = [f"FROM {named or part_image('runner', python or PYTHON_VERSIONS[0])}", "USER root"]
    if pip_config := build.get("pip_config_file"):
        lines += [f"COPY {_quoted(pip_config)} /etc/relayrun/pip.conf", "ENV PIP_CONFIG_FILE=/etc/relayrun/pip.conf"]
    lines += list(build.get("dockerfile_lines") or [])
    lines += _installs(config, _installer(build))
    lines += ["COPY --chown=10001:10001 . /app"]
    lines += [f"RUN {_installer(build)} {folder}" for folder in _packages(config)]
    if python is not None:
        lines.append(_CHECK)
    lines.append(_COMPILE)
    if (place := _in_context(config, config.file, "the file")) != "langgraph.json":
        lines.append(f"ENV RELAYRUN_CONFIG_PATH=/app/{place}")
    lines += ["WORKDIR /app", "USER 10001:10001"]
    if isinstance(config.env, str) and config.path(config.env).is_file():
        warnings.append(f"{config.env} goes into the image; in a cluster, keep secrets in the Agent's envFrom instead")
    return AgentImage("\n".join(lines) + "\n", python, warnings)


def _named_base(build: dict[str, Any], warnings: list[str]) -> str | None:
    named = build.get("base_image")
    if named and str(named).startswith("langchain/"):
        warnings.append(f"base_image {named} is not used: it has no runner; Relayrun's own image is")
        return None
    return str(named) if named else None


def _python(build: dict[str, Any]) -> str:
    wanted = str(build.get("python_version") or PYTHON_VERSIONS[0])
    if wanted not in PYTHON_VERSIONS:
        raise CliError(
            f"python_version is {wanted}, and the runner's images have Python {', '.join(sorted(PYTHON_VERSIONS))}:"
            " change python_version, or name an image of yours with --base-image."
        )
    return wanted


def _installer(build: dict[str, Any]) -> str:
    return _UV if build.get("pip_installer") == "uv" else _PIP


def _installs(config: Config, installer: str) -> list[str]:
    """What is not the author's own code comes first: a new line of theirs does not install it again."""
    mounts, wanted = [], []
    for number, entry in enumerate(config.dependencies):
        folder = _local(config, entry)
        if folder is None:
            wanted.append(_quoted(entry))
        elif (file := folder / "requirements.txt").is_file():
            target = f"/tmp/requirements-{number}.txt"  # noqa: S108 - in the image
            source = _in_context(config, file, f"dependencies: {entry!r}")
            mounts.append(f"--mount=type=bind,source={source},target={target}")
            wanted.append(f"-r {target}")
    return [" ".join(["RUN", *mounts, installer, *wanted])] if wanted else []


def _packages(config: Config) -> list[str]:
    """Local dependencies that are packages; other folders are found on the path when the runner starts."""
    folders = [folder for entry in config.dependencies if (folder := _local(config, entry)) is not None]
    found = [folder for folder in folders if any((folder / name).is_file() for name in ("pyproject.toml", "setup.py"))]
    return [f"/app/{_in_context(config, folder, 'dependencies')}" for folder in found]


def _local(config: Config, entry: str) -> Path | None:
    folder = config.dependency(entry)
    if not folder.is_dir():
        if entry.startswith((".", "/")):
            raise CliError(f"dependencies: {folder} does not exist: correct or remove {entry!r}.")
        return None
    _in_context(config, folder, f"dependencies: {entry!r}")
    return folder


def _in_context(config: Config, path: Path, what: str) -> str:
    if not path.is_relative_to(config.folder):
        raise CliError(
            f"{what} is outside of {config.folder}, from which the image is made: build from a folder that has both,"
            " or publish it as a package."
        )
    return path.relative_to(config.folder).as_posix()


def _quoted(text: Any) -> str:
    return shlex.quote(str(text))
