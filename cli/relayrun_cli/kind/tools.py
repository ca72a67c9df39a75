"""Finds and calls the commands that create a cluster."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from relayrun_cli.errors import CliError

#: Each with the page that says how to install it.
TOOLS = {
    "docker": "https://docs.docker.com/engine/install",
    "kind": "https://kind.sigs.k8s.io/docs/user/quick-start",
    "kubectl": "https://kubernetes.io/docs/tasks/tools",
    "helm": "https://helm.sh/docs/intro/install",
}


def need(*tools: str) -> None:
    """Raises CliError, which names each tool that is missing, or says that Docker does not answer."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        where = ", ".join(f"{tool} ({TOOLS[tool]})" for tool in missing)
        raise CliError(f"This needs {where} on the PATH. Without a cluster, `relayrun dev` runs the project.")
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise CliError(f"This needs Docker, which does not answer: {_last_line(asked.stderr)}")


def need_kubectl() -> None:
    """Raises CliError where there is no kubectl."""
    if shutil.which("kubectl") is None:
        raise CliError(f"This needs kubectl ({TOOLS['kubectl']}) on the PATH.")


def call(words: Sequence[str], stdin: str = "") -> str:
    """Standard output of a command. Raises CliError with what it said when it failed."""
    ended = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise CliError(f"{' '.join(words[:4])} … ended with {ended.returncode}:\n{ended.stderr.strip()}")
    return ended.stdout


def succeeds(words: Sequence[str]) -> bool:
    """Whether a command ends with 0."""
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["docker info says why"])[-1]
