"""A runner image of another Python, as `relayrun build` chooses and makes it. Needs Docker, and no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import missing
from tests.distribution.pythons import interpreter
from tests.support.cluster import CommandError, command, unique
from tests.support.skipping import skip_loudly

PYTHON = "3.12"
#: The stand-in's name. Nobody shall take it for the real one.
STAND_IN = "relayrun-test-python:{python}"


@pytest.fixture
def base(pytestconfig: pytest.Config, tmp_path: Path) -> str:
    """Where the Python comes from: the registry's image, or where no registry is reached an interpreter of ours."""
    if (sentence := missing(["docker"])) is not None:
        skip_loudly(pytestconfig, f"no runner image was built: {sentence}", required="REQUIRE_CLUSTER")
    named = f"python:{PYTHON}-slim-trixie"
    for line in (["docker", "image", "inspect", named], ["docker", "pull", "-q", named]):
        try:
            command(*line)
        except CommandError:
            continue
        return "python:{python}-slim-trixie"
    stand_in(interpreter(pytestconfig, PYTHON).resolve().parents[1], tmp_path)
    return STAND_IN


def stand_in(home: Path, folder: Path) -> None:
    """An image with the machine's own interpreter, in the place that it was built for."""
    links = {f"python{PYTHON}": ("python3", "python", f"python{PYTHON}"), "pip3": ("pip",)}
    made = [f"ln -sf {home}/bin/{file} /usr/local/bin/{name}" for file, names in links.items() for name in names]
    opened = " ".join(str(above) for above in home.parents if above != Path("/"))
    file = folder / "Dockerfile"
    file.write_text(f"FROM python:3.13-slim-trixie\nCOPY . {home}\nRUN chmod 755 {opened} && {' && '.join(made)}\n")
    file.with_name("Dockerfile.dockerignore").write_text("**/__pycache__\n**/test\n**/*.a\nshare\n")
    client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
    tag = STAND_IN.format(python=PYTHON)
    command("env", "DOCKER_BUILDKIT=1", client, "build", "-q", "-f", str(file), "-t", tag, str(home))


def test_an_agent_of_another_python_gets_a_runner_of_that_python(base: str, tmp_path: Path) -> None:
    project, image = tmp_path / "agent", unique("relayrun-test-python-agent") + ":1"
    relayrun = [sys.executable, "-m", "relayrun_cli"]
    subprocess.run([*relayrun, "new", str(project)], check=True)
    config = json.loads((project / "langgraph.json").read_text())
    (project / "langgraph.json").write_text(json.dumps({**config, "python_version": PYTHON, "pip_installer": "uv"}))
    environment = {**os.environ, "RELAYRUN_PYTHON_IMAGE": base}
    built = subprocess.run([*relayrun, "build", "-t", image], cwd=project, env=environment, check=False)
    assert built.returncode == 0
    try:
        asked = (
            "import sys, relayrun_runner.main, agent.graph as it; print(*sys.version_info[:2], list(it.graph.nodes))"
        )
        told = command("docker", "run", "--rm", image, "python", "-P", "-c", asked)
    finally:
        command("docker", "image", "rm", image)
    assert told.split(" ", 2) == [*PYTHON.split("."), "['__start__', 'answer']\n"]
