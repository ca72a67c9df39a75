"""`relayrun new`: what it writes, and what it refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from relayrun_cli.commands.new import TEMPLATES
from tests.cli.command_line import Relayrun, command_line


@pytest.fixture
def relayrun(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relayrun:
    return command_line(monkeypatch, capsys)


def test_the_templates_are_the_folders_that_there_are() -> None:
    folder = Path(__file__).parents[2] / "cli" / "relayrun_cli" / "templates"
    assert sorted(TEMPLATES) == sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_project_is_valid_as_it_is(relayrun: Relayrun, tmp_path: Path, template: str) -> None:
    folder = tmp_path / "My first agent"
    assert relayrun("new", str(folder), "--template", template).code == 0
    assert relayrun("validate", "--config", str(folder / "langgraph.json")).code == 0
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"] == "my-first-agent"
    assert (folder / "README.md").read_text().startswith("# my-first-agent\n")
    assert {".env", ".relayrun/", ".venv/"} <= set((folder / ".gitignore").read_text().split())


def test_an_empty_folder_will_do(relayrun: Relayrun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = relayrun("new", ".")
    assert said.code == 0
    assert said.out.endswith("Start it: relayrun dev\n")
    assert "agent" in json.loads((tmp_path / "langgraph.json").read_text())["graphs"]


def test_nothing_is_written_over(relayrun: Relayrun, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    said = relayrun("new", str(tmp_path))
    assert (said.code, list(tmp_path.iterdir())) == (1, [tmp_path / "mine"])
    assert "is not empty" in said.err


def test_an_unknown_template_is_refused_with_those_that_there_are(relayrun: Relayrun, tmp_path: Path) -> None:
    said = relayrun("new", str(tmp_path / "agent"), "--template", "react")
    assert said.code == 2
    assert all(name in said.err for name in TEMPLATES)
    assert not (tmp_path / "agent").exists()
