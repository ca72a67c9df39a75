"""What the pages show can be applied and called: manifests, chart values, commands, fields, metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer
import yaml
from jsonschema import Draft202012Validator

from relayrun_cli.main import command_line
from tests.docs.check import ROOT
from tests.docs.reference.markdown import NOTE

CHART = ROOT / "charts" / "relayrun"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
CRDS = [yaml.safe_load(path.read_text("utf-8")) for path in sorted((ROOT / "crds").glob("*.yaml"))]
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if NOTE not in page.read_text("utf-8")]


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for indent, language, text in re.findall(
        r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        if language in languages:
            yield re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


def commands(page: Path) -> Iterator[str]:
    """Each command line of a page's shell blocks, a continued one as one."""
    for text in blocks(page, "sh", "bash", "console", ""):
        for line in text.replace("\\\n", " ").splitlines():
            yield line.strip().removeprefix("$ ")


@cache
def validator_of(kind: str) -> Any:
    [definition] = [crd for crd in CRDS if crd["spec"]["names"]["kind"] == kind]
    return Draft202012Validator(_closed(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))


def _closed(schema: Any) -> Any:
    """The API server drops unknown fields: in an example they are mistakes."""
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict):
        closed["properties"] = {name: _closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed.setdefault("additionalProperties", False)
    return closed


def test_manifests_and_values_are_accepted() -> None:
    values = Draft202012Validator(json.loads((CHART / "values.schema.json").read_text("utf-8")))
    problems, checked = [], 0
    for page in PAGES:
        for document in (found for text in blocks(page, "yaml") for found in yaml.safe_load_all(text)):
            if not isinstance(document, dict):
                continue
            if document.get("kind") in ("Agent", "AgentRun") and "apiVersion" in document:
                validator = validator_of(document["kind"])
            elif document.keys() <= VALUES.keys():
                validator = values
            else:
                continue
            checked += 1
            problems += [
                f"{page.name}: {error.json_path}: {error.message}" for error in validator.iter_errors(document)
            ]
    assert problems == []
    assert checked > 10


@cache
def verbs() -> dict[str, set[str]]:
    """The options of each verb, by its name: `keys create` too."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, name: str) -> None:
        for verb in getattr(command, "commands", {}).values():
            full = f"{name} {verb.name}".strip()
            found[full] = {option for parameter in verb.params for option in getattr(parameter, "opts", ())} | {
                "--help"
            }
            walk(verb, full)

    walk(typer.main.get_command(command_line()), "")
    return found


def test_commands_of_relayrun_exist_with_their_options() -> None:
    problems, checked = [], 0
    for page, line in ((each, line) for each in PAGES for line in commands(each)):
        if (called := re.search(r"(?<!-n )(?<![\w/.=-])relayrun ([a-z]+)(.*)", line)) is None:
            continue
        if re.match(r"(pip|uv|helm|docker|git|make|cd) ", line):
            continue
        rest = re.sub(r"'[^']*'?|\"[^\"]*\"?|(?<= )#.*", "", called[2].split(" | ")[0].split(" > ")[0]).split()
        verb = f"{called[1]} {rest[0]}" if rest and f"{called[1]} {rest[0]}" in verbs() else called[1]
        options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
        checked += 1
        if verb not in verbs():
            problems.append(f"{page.name}: there is no verb {verb}: {line}")
        elif verb != "build":  # passes on what it does not know
            problems += [f"{page.name}: no {option}: {line}" for option in options if option not in verbs()[verb]]
    assert problems == []
    assert checked > 40


def test_fields_values_and_targets_that_commands_name_exist() -> None:
    selectable, phases = set(), set()
    for crd in CRDS:
        [version] = crd["spec"]["versions"]
        selectable |= {field["jsonPath"][1:] for field in version.get("selectableFields", ())}
        status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        phases |= set(status.get("phase", {}).get("enum", ()))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    problems = []
    for page, line in ((each, line) for each in PAGES for line in commands(each)):
        for asked in re.findall(r"field-selector[ =](\S+)", line):
            for name, _, value in (field.partition("=") for field in asked.split(",")):
                if name not in selectable or (name == "status.phase" and value not in phases):
                    problems.append(f"{page.name}: nothing has {name}={value}")
        problems += [
            f"{page.name}: no value {path}" for path in re.findall(r"--set ([a-z][\w.]+)=", line) if not _has(path)
        ]
        problems += [
            f"{page.name}: {line}"
            for target in re.findall(r"^make (?:-C \S+ )?([a-z-]+)", line)
            if target not in targets
        ]
    assert problems == []


def test_values_that_pages_name_exist() -> None:
    parts = "api|operator|metrics|database|networkPolicy|global|postgres|migrations|crds|sampleAgent"
    named = [
        (page.name, path)
        for page in PAGES
        for path in re.findall(rf"`((?:{parts})\.[a-z][\w.]+)`", page.read_text("utf-8"))
    ]
    assert [where for where in named if not _has(where[1])] == []
    assert len(named) > 50


def _has(path: str) -> bool:
    value: Any = VALUES
    for name in path.split("."):
        if not isinstance(value, dict) or (value and name not in value):
            return False
        value = value[name] if value else {}
    return True


def test_metrics_that_pages_name_exist() -> None:
    metrics = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    known = set(re.findall(r"`(relayrun_\w+)`", metrics))
    ends = re.compile(r"\brelayrun_[a-z_]+_(?:total|seconds|runs|threads|connections|slots)\b")
    unknown = {
        (page.name, name) for page in PAGES for name in ends.findall(page.read_text("utf-8")) if name not in known
    }
    assert unknown == set()
