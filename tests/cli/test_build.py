"""The Dockerfile that a langgraph.json becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayrun_cli.errors import CliError
from relayrun_cli.images import agent_image
from relayrun_core import __version__
from relayrun_runner.config.load import load_config

BASE = f"relayrun-runner:{__version__}"


def image_of(folder: Path, **keys: Any) -> Any:
    (folder / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./a.py:graph"}, **keys}))
    return agent_image(load_config(folder / "langgraph.json"))


def test_a_folder_without_requirements_is_copied(tmp_path: Path) -> None:
    assert image_of(tmp_path, dependencies=["."]).dockerfile.splitlines() == [
        f"FROM {BASE}",
        "USER root",
        "COPY --chown=10001:10001 . /app",
        "RUN /opt/relayrun/bin/python -P -m relayrun_core.requirements relayrun-runner",
        "RUN /opt/relayrun/bin/python -m compileall -q /app || true",
        "WORKDIR /app",
        "USER 10001:10001",
    ]


def test_dependencies_are_installed_before_the_code_is_copied(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("httpx\n")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "pyproject.toml").write_text("[project]\n")
    lines = image_of(tmp_path, dependencies=[".", "./library", "langchain-openai>=1,<2"]).dockerfile.splitlines()
    assert lines[2] == (
        "RUN --mount=type=bind,source=requirements.txt,target=/tmp/requirements-0.txt"
        " pip --python /opt/relayrun/bin/python install --no-cache-dir --root-user-action=ignore"
        " -r /tmp/requirements-0.txt 'langchain-openai>=1,<2'"
    )
    assert lines[3].startswith("COPY")
    assert lines[4].endswith(" /app/library")
    assert "relayrun_core.requirements" in lines[5]
    assert "compileall" in lines[6]


def test_the_authors_lines_come_before_the_installation(tmp_path: Path) -> None:
    keys = {"dockerfile_lines": ["RUN apt-get update"], "pip_config_file": "pip.conf", "pip_installer": "uv"}
    lines = image_of(tmp_path, dependencies=["httpx"], **keys).dockerfile.splitlines()
    assert lines[2:6] == [
        "COPY pip.conf /etc/relayrun/pip.conf",
        "ENV PIP_CONFIG_FILE=/etc/relayrun/pip.conf",
        "RUN apt-get update",
        "RUN uv pip install --python /opt/relayrun/bin/python --no-cache --compile-bytecode httpx",
    ]


@pytest.mark.parametrize("python", ["3.11", "3.12", 3.12])
def test_each_python_has_a_runner_image_of_its_own(tmp_path: Path, python: str | float) -> None:
    image = image_of(tmp_path, python_version=python)
    assert image.dockerfile.startswith(f"FROM {BASE}-py{python}\n")
    assert image.python == str(python)


def test_the_runners_own_python_is_3_13(tmp_path: Path) -> None:
    assert image_of(tmp_path, python_version="3.13").dockerfile == image_of(tmp_path).dockerfile
    assert image_of(tmp_path).python == "3.13"


def test_a_python_without_an_image_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"python_version is 3\.10, .* 3\.11, 3\.12, 3\.13"):
        image_of(tmp_path, python_version="3.10")


def test_an_image_of_ones_own_decides_the_python_itself(tmp_path: Path) -> None:
    image = image_of(tmp_path, python_version="3.10", base_image="mine:1")
    assert (image.dockerfile.split("\n")[0], image.python) == ("FROM mine:1", None)


def test_a_folder_outside_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "agent"
    inside.mkdir()
    (tmp_path / "other").mkdir()
    with pytest.raises(CliError, match="is outside of"):
        image_of(inside, dependencies=["../other"])


def test_a_langgraph_base_image_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    image = image_of(tmp_path, base_image="langchain/langgraph-server:3.13", source={"kind": "uv"}, env=".env")
    assert image.dockerfile.startswith(f"FROM {BASE}\n")
    assert [warning.split(" ")[0] for warning in image.warnings] == ["source", "base_image", ".env"]


def test_a_config_in_another_folder_is_named_in_the_image_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "a.py").touch()
    file = tmp_path / "conf" / "agent.json"
    file.write_text(json.dumps({"graphs": {"a": "./a.py:graph"}, "dependencies": ["."]}))
    lines = agent_image(load_config(file, tmp_path)).dockerfile.splitlines()
    assert "COPY --chown=10001:10001 . /app" in lines
    assert "ENV RELAYRUN_CONFIG_PATH=/app/conf/agent.json" in lines
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.py").touch()
    with pytest.raises(CliError, match=r"the file is outside of .*elsewhere, from which the image is made"):
        agent_image(load_config(file, tmp_path / "elsewhere"))


def test_a_dependency_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"dependencies: .*missing does not exist: correct or remove './missing'"):
        image_of(tmp_path, dependencies=["./missing"])
