"""`relayrun up`: what it says where something is missing, and what it puts into a cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relayrun_cli import checkout
from relayrun_cli.kind.release import agent, chart_values, project_name
from relayrun_core.kinds.agent import Agent
from relayrun_runner.config.load import load_config
from tests.cli.command_line import Relayrun, command_line

IMAGES = {part: f"relayrun-{part}:1" for part in ("operator", "api", "runner")}


@pytest.fixture
def relayrun(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relayrun:
    return command_line(monkeypatch, capsys)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "agent.py").touch()
    (tmp_path / "langgraph.json").write_text('{"graphs": {"agent": "./agent.py:graph"}, "dependencies": ["."]}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_missing_is_named_with_where_to_get_it(
    relayrun: Relayrun, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "kubectl").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(project))
    said = relayrun("up")
    assert said.code == 1
    assert all(f"{tool} (https://" in said.err for tool in ("docker", "kind", "helm"))
    assert "kubectl (" not in said.err
    assert "relayrun dev" in said.err
    assert "docker (" in relayrun("down").err


def test_a_docker_that_does_not_answer_is_said(
    relayrun: Relayrun, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("docker", "kind", "kubectl", "helm"):
        (project / tool).write_text("#!/bin/sh\necho is the daemon running? >&2\nexit 1\n")
        (project / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{project}:/bin:/usr/bin")
    said = relayrun("up")
    assert (said.code, "Docker, which does not answer: is the daemon running?" in said.err) == (1, True)


def test_a_wrong_config_is_said_before_anything_is_made(relayrun: Relayrun, project: Path) -> None:
    (project / "langgraph.json").write_text("{}")
    assert "graphs" in relayrun("up").err


@pytest.mark.parametrize(
    ("asked", "folder", "name"),
    [
        (None, "My Agent", "my-agent"),
        (None, "support_bot.v2", "support-bot-v2"),
        (None, "4711", "agent-4711"),
        (None, "...", "agent"),
        ("Chosen", "folder", "chosen"),
        (None, "x" * 80, "x" * 40),
    ],
)
def test_an_agent_is_named_as_kubernetes_names_things(asked: str | None, folder: str, name: str) -> None:
    assert project_name(asked, Path("/somewhere") / folder) == name


def test_the_agent_is_one_of_our_kind() -> None:
    made = Agent.model_validate(agent("support", "relayrun-agent-support:1"))
    assert (made.spec.image, made.metadata.name) == ("relayrun-agent-support:1", "support")


@pytest.mark.parametrize(
    ("keys", "auth"),
    [
        ({}, {"auth": "none"}),
        ({"auth": {"path": "./auth.py:auth"}}, {"auth": "custom", "authAgent": "support"}),
        ({"store": {"index": {"dims": 8, "embed": "./agent.py:embed"}}}, {"auth": "none"}),
    ],
)
def test_the_chart_takes_its_values(project: Path, keys: dict[str, Any], auth: dict[str, str]) -> None:
    (project / "auth.py").touch()
    file = project / "langgraph.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    values = chart_values(load_config(file), "support", IMAGES)
    assert values["api"].items() >= auth.items()
    if shutil.which("helm") is None:
        pytest.skip("no helm on the PATH")
    line = ["helm", "template", "relayrun", str(checkout.chart()), "--kube-version", "1.34", "--values", "-"]
    rendered = subprocess.run(line, input=json.dumps(values), capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr
    assert all(
        f'image: "{image}"' in rendered.stdout or f"image: {image}" in rendered.stdout for image in IMAGES.values()
    )


def test_an_image_s_sources_are_whole() -> None:
    """Whatever the Dockerfile copies is in the build's context."""
    lines = (checkout.chart().parents[1] / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from=" not in line]
    wanted = {name for names in copies for name in names if not name.startswith("--")} - {"${PART}"}
    with checkout.build_context() as context:
        assert {name for name in wanted if not (context / name).exists()} == set()
        assert (context / "cli" / "relayrun_cli" / "__main__.py").exists()
