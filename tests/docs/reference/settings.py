"""A page for the settings of API, runners and operator, of the classes that read them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from relayrun_api.settings import ApiSettings
from relayrun_core.runner_settings import RunnerSettings
from relayrun_operator.settings import OperatorSettings
from tests.docs.reference.markdown import NOTE, code, limits, sentences, table, text

_PARTS = {"The API": ApiSettings, "Runners": RunnerSettings, "The operator": OperatorSettings}
# What a part is told by whoever starts it, and nobody sets.
_INNER = {"build", "name", "in_dev", "deaths", "runners_file", "world", "pod_name", "cors_allow_localhost"}


def page() -> str:
    """Every setting that people may set."""
    parts = [
        (
            f"# Settings\n\n{NOTE}Each part reads its settings from environment variables. In a cluster"
            " the chart sets those of the API and"
            " the operator from its [values](chart-values.md), and `extraEnv` sets any other; an Agent's"
            " `env` sets those of its"
            " runners. A list is written with commas. `…_FILE` names a file that has the value and may change.\n\n"
        )
    ]
    for title, settings in _PARTS.items():
        parts.append(f"## {title}\n\n" + table(("Variable", "Type", "Default", "What it is for"), _rows(settings)))
    return "".join(parts).rstrip() + "\n"


def _rows(settings: type[BaseSettings]) -> Iterator[tuple[str, ...]]:
    comments: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if issubclass(base, BaseSettings) and base is not BaseSettings:
            comments |= _comments(base)
    schema = settings.model_json_schema()["properties"]
    for name, field in sorted(settings.model_fields.items()):
        if name in _INNER:
            continue
        told = [text(comments.get(name)), _limits(schema[name])]
        yield code(f"RELAYRUN_{name.upper()}"), _type(schema[name]), _default(field.default), sentences(*told)


def _default(value: Any) -> str:
    if value is None or (isinstance(value, SecretStr) and not value.get_secret_value()):
        return ""
    if isinstance(value, list):
        return code(",".join(map(str, value))) if value else ""
    return code(
        value.get_secret_value() if isinstance(value, SecretStr) else str(value) if isinstance(value, Path) else value
    )


def _of(schema: dict[str, Any]) -> dict[str, Any]:
    """What it is when it is not null."""
    [first] = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"][:1]
    return dict(first)


def _limits(schema: dict[str, Any]) -> str:
    inner = _of(schema)
    return limits(inner) or limits(inner.get("items", {}))


def _type(schema: dict[str, Any]) -> str:
    inner = _of(schema)
    return "list" if inner.get("type") == "array" else str(inner.get("type", "string"))


def _comments(of: type) -> dict[str, str]:
    """The `#:` lines above each field of a class."""
    lines = textwrap.dedent(inspect.getsource(of)).splitlines()
    [body] = ast.parse("\n".join(lines)).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field in body.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            above = field.lineno - 2
            told: list[str] = []
            while (match := re.match(r"\s*#: ?(.*)", lines[above])) is not None:
                told.insert(0, match[1])
                above -= 1
            found[field.target.id] = " ".join(told)
    return found
