"""Versions in one place, notes from the changelog, the released chart, the plugin's manifest, the workflows."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from relayrun_core import __version__
from release import chart, krew, notes, version
from release.report import over_budget
from release.version import ROOT, ReleaseError

DIGESTS = {name: f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in chart.images()}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: Whose commits are known; dependabot moves them on.
CHECKED = {"actions/checkout", "actions/upload-artifact", "actions/download-artifact"}
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a\n\n## [0.0.1] - 2026-01-01\n\n- old\n"


def test_every_place_has_the_version() -> None:
    assert version.disagreements() == []


def test_a_place_that_has_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "__version__", "9.9.9")
    assert len(version.disagreements()) == 8


def test_a_version_takes_what_is_unreleased() -> None:
    made = version.cut(CHANGELOG, "0.1.0", date(2026, 2, 3))
    assert "## [Unreleased]\n\n## [0.1.0] - 2026-02-03\n\n### Added\n\n- a\n\n## [0.0.1]" in made
    assert notes.changes(made, "0.1.0") == "### Added\n\n- a"
    assert notes.changes(made, "0.0.1") == "- old"


@pytest.mark.parametrize(
    ("changelog", "new"), [(CHANGELOG, "0.0.1"), (CHANGELOG.replace("### Added\n\n- a\n", ""), "1.0.0")]
)
def test_there_is_no_version_without_changes_and_none_twice(changelog: str, new: str) -> None:
    with pytest.raises(ReleaseError):
        version.cut(changelog, new, date(2026, 2, 3))


def test_the_repositorys_own_changelog_can_be_cut() -> None:
    made = version.cut(version.CHANGELOG.read_text(), "99.0.0", date(2026, 2, 3))
    told = notes.notes(made, "99.0.0", "ghcr.io/somebody", {"relayrun-api:99.0.0": "sha256:1"}, {"wheel": "2 MB"})
    assert told.startswith("### Added")
    assert "| `ghcr.io/somebody/relayrun-api:99.0.0` | `sha256:1` |" in told
    assert "helm install relayrun oci://ghcr.io/somebody/charts/relayrun --version 99.0.0" in told


def test_the_released_charts_values_name_each_image_and_nothing_else_changes() -> None:
    before = (chart.CHART / "values.yaml").read_text()
    after = chart.released(before, "ghcr.io/somebody", DIGESTS)
    assert yaml.safe_load(after)["global"]["relayrunRegistry"] == "ghcr.io/somebody"
    assert yaml.safe_load(after)["api"]["image"]["digest"] == DIGESTS["relayrun-api"]
    undone = re.sub(r' digest: "sha256:[0-9a-f]+",?', "", after).replace(
        "relayrunRegistry: ghcr.io/somebody", 'relayrunRegistry: ""'
    )
    assert undone.replace('tag: "",}', 'tag: ""}') == before
    with pytest.raises(ReleaseError, match="relayrun-runner"):
        chart.released(before, "ghcr.io/somebody", {name: "" for name in DIGESTS if name != "relayrun-runner"})


@pytest.mark.skipif(shutil.which("helm") is None, reason="there is no helm on the PATH")
def test_the_packaged_chart_asks_for_nothing_but_released_images(tmp_path: Path) -> None:
    packed = chart.package(tmp_path, "ghcr.io/somebody", DIGESTS)
    line = ["helm", "template", "relayrun", packed, "--kube-version", "1.34", "--set", "api.auth=none"]
    more = ["--set", "sampleAgent.enabled=true"]
    text = subprocess.run([*line, *more], capture_output=True, text=True, check=True).stdout
    asked = set(re.findall(r'(?:image: |\\"image\\":\\")([^\s"\\]+)', text))
    assert asked == {f"ghcr.io/somebody/{name}:{__version__}@{digest}" for name, digest in DIGESTS.items()}


def test_the_chart_has_no_image_of_ours_that_the_workflow_does_not_make() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    matrix = workflow["jobs"]["images"]["strategy"]["matrix"]["include"]
    assert {f"relayrun-{each['part']}" for each in matrix} | {"relayrun-example-steps"} > chart.images()
    assert {each["python"] for each in matrix if each["part"] == "runner"} == {"3.11", "3.12", "3.13"}


def test_the_plugin_is_packed_as_its_manifest_says(tmp_path: Path) -> None:
    packed = krew.archive(tmp_path)
    made = yaml.safe_load(krew.manifest("1.2.3", "somebody/relayrun", packed))
    [platform] = made["spec"]["platforms"]
    assert platform["sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert platform["uri"] == "https://github.com/somebody/relayrun/releases/download/v1.2.3/kubectl-relayrun.tar.gz"
    with tarfile.open(packed) as tar:
        assert {each["from"] for each in platform["files"]} == set(tar.getnames())
        assert tar.getmember(platform["bin"]).mode == 0o755
    first = packed.read_bytes()
    assert krew.archive(tmp_path).read_bytes() == first


def test_a_size_above_its_budget_is_named_and_so_is_one_without() -> None:
    assert over_budget({"wheel": 2.0}, {"wheel": 2.0}) == []
    [above, unknown] = sorted(over_budget({"wheel": 2.1, "new": 1.0}, {"wheel": 2.0}), reverse=True)
    assert "wheel has 2.1 MB" in above
    assert "new has no budget" in unknown


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_pins_its_actions_and_asks_for_no_right_it_does_not_name(file: Path) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        owner, _, pin = action.partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}" if owner in CHECKED else r"v\d+|release/v1", pin), action
    for job in workflow["jobs"].values():
        needs = job.get("needs", [])
        assert {*([needs] if isinstance(needs, str) else needs)} <= set(workflow["jobs"])


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="there is no actionlint on the PATH")
def test_the_workflows_pass_actionlint() -> None:
    linted = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert linted.stdout == ""
