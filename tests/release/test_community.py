"""What people find who come to help: files that parse, and paths that are there."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from release.version import ROOT

FORMS = sorted(file for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if file.name != "config.yml")
PAGES = ("SECURITY.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", ".github/pull_request_template.md")


@pytest.mark.parametrize("form", FORMS, ids=lambda file: file.name)
def test_a_form_has_what_github_asks_of_it(form) -> None:
    read = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(read)
    ids = [field["id"] for field in read["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 0
    assert all(field["attributes"].get("label") or field["attributes"].get("value") for field in read["body"])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_links_to_what_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_targets_and_files_that_contributors_are_told_of_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) - targets <= {"cluster-layer"}
    files = set(re.findall(r"`([\w./-]+/[\w./-]+)`", text))
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []


def test_the_development_container_and_the_scripts_parse() -> None:
    read = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert "make setup" in read["postCreateCommand"]
    for script in ("dev.sh", "cluster.sh", "console.sh"):
        subprocess.run(["bash", "-n", ROOT / "scripts" / script], check=True)
    subprocess.run(["sh", "-n", ROOT / "scripts" / "kubectl-relayrun"], check=True)
