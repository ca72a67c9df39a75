"""The distribution `relayrun` names once more what its parts need; the parts' own files decide."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from relayrun_core import __version__
from tests.distribution.pythons import REPOSITORY

PARTS = ("core", "operator", "api", "runner")


def project(part: str) -> dict[str, Any]:
    return dict(tomllib.loads((REPOSITORY / part / "pyproject.toml").read_text())["project"])


def test_relayrun_needs_what_its_parts_need() -> None:
    needed = {wanted for part in PARTS for wanted in project(part)["dependencies"]} - {"relayrun-core"}
    assert needed - set(project("cli")["dependencies"]) == set()


def test_its_extra_brings_what_the_parts_extras_bring() -> None:
    extras = [project(part).get("optional-dependencies", {}) for part in PARTS]
    needed = {wanted for extra in extras for wanted in extra.get("kubernetes", [])}
    assert set(project("cli")["optional-dependencies"]["kubernetes"]) == needed


def test_a_name_is_asked_for_once() -> None:
    wanted = project("cli")["dependencies"]
    names = [line.split(">")[0] for line in wanted]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("part", [*PARTS, "cli"])
def test_all_parts_have_one_version_and_one_python(part: str) -> None:
    assert project(part)["version"] == __version__
    assert project(part)["requires-python"] == project("cli")["requires-python"]


def test_the_chart_has_it_too() -> None:
    chart = yaml.safe_load((REPOSITORY / "charts" / "relayrun" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
