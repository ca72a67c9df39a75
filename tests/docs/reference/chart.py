"""A page for the chart's values, of values.yaml with its comments and values.schema.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.docs.reference.markdown import NOTE, code, limits, sentences, table, text

_KEY = re.compile(r"^( *)([\w-]+):")


def page(chart: Path) -> str:
    """Every value, in the order of values.yaml: its type, default, comment and validation."""
    source = (chart / "values.yaml").read_text("utf-8")
    values, comments = yaml.safe_load(source), _comments(source)
    schema = json.loads((chart / "values.schema.json").read_text("utf-8"))
    parts = [
        (
            f"# Chart values\n\n{NOTE}All values of the chart `relayrun`, with their defaults. What is"
            " not here goes into a part's"
            " `extraEnv`, or into an Agent's `podTemplate`. Values are checked against a schema: one"
            " that the chart does not know"
            " is refused.\n\n"
        )
    ]
    for name, value in values.items():
        rows = list(_rows(name, value, schema["properties"].get(name, {}), schema, comments))
        parts.append(
            f"## {name}\n\n{text(comments.get(name))}\n\n" + table(("Value", "Type", "Default", "What it is for"), rows)
        )
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).rstrip() + "\n"


def _rows(path: str, value: Any, schema: Any, whole: Any, comments: dict[str, str]) -> Iterator[tuple[str, ...]]:
    schema = _resolved(schema, whole)
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _rows(f"{path}.{name}", inner, schema.get("properties", {}).get(name, {}), whole, comments)
        return
    told = [text(_nearest(path, comments)), limits(schema)]
    yield code(path), _type(schema, value), f"`{json.dumps(value)}`", sentences(*told)


def _nearest(path: str, comments: dict[str, str]) -> str:
    """Its own comment; within a line such as `rateLimit: {…}` that of the line, but never a section's."""
    while "." in path:
        if path in comments:
            return comments[path]
        path = path.rpartition(".")[0]
        if path.count(".") == 0:
            break
    return ""


def _resolved(schema: Any, whole: Any) -> dict[str, Any]:
    if "$ref" in schema:
        return _resolved(whole["definitions"][schema["$ref"].rpartition("/")[2]], whole)
    return dict(schema)


def _type(schema: dict[str, Any], value: Any) -> str:
    told = schema.get("type") or {
        str: "string",
        bool: "boolean",
        int: "integer",
        float: "number",
        list: "array",
        dict: "object",
    }.get(type(value), "")
    return " or ".join(told) if isinstance(told, list) else str(told)


def _comments(source: str) -> dict[str, str]:
    """The comment before each key, by the key's path."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    waiting: list[str] = []
    for line in source.splitlines():
        if line.lstrip().startswith("#"):
            waiting.append(line.lstrip("# "))
            continue
        if match := _KEY.match(line):
            path = [entry for entry in path if entry[0] < len(match[1])] + [(len(match[1]), match[2])]
            if waiting:
                found[".".join(name for _, name in path)] = " ".join(waiting)
        waiting = []
    return found
