"""A page for a kind, of its CustomResourceDefinition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.docs.reference.markdown import NOTE, code, limits, sentences, table, text

Schema = dict[str, Any]
_HEAD = ("Field", "Type", "Default", "Description")


def page(definition: Path) -> str:
    """Every field, with its type, default, description and validation."""
    spec = yaml.safe_load(definition.read_text("utf-8"))["spec"]
    [version] = spec["versions"]
    names, schema = spec["names"], version["schema"]["openAPIV3Schema"]
    short = ", ".join(code(name) for name in names["shortNames"])
    parts = [
        (
            f"# {names['kind']}\n\n{NOTE}{text(schema['description'])} `apiVersion: {spec['group']}/{version['name']}`,"
            f" `kind: {names['kind']}`; for kubectl `{names['plural']}`, short {short}. A field with a *"
            " is required.\n\n"
        )
    ]
    for part in ("spec", "status"):
        fields = schema["properties"][part]
        parts.append(f"## {part}\n\n{text(fields.get('description'))}\n\n")
        parts.append(table(_HEAD, _fields(fields)))
        parts += [f"- {text(rule['message'])}\n" for rule in fields.get("x-kubernetes-validations", ())]
    columns = [(column["name"], code(column["jsonPath"])) for column in version["additionalPrinterColumns"]]
    parts += ["\n## Columns of kubectl get\n\n", table(("Column", "Field"), columns)]
    if chosen := version.get("selectableFields"):
        parts.append("`--field-selector` takes " + ", ".join(code(field["jsonPath"][1:]) for field in chosen) + ".\n")
    return "".join(parts).rstrip() + "\n"


def _fields(schema: Schema, prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        required = " *" if name in schema.get("required", ()) else ""
        rules = [rule["message"] for rule in field.get("x-kubernetes-validations", ())] if prefix or required else []
        inner = field.get("items", {})
        told = [text(field.get("description")), limits(field), limits(inner), *map(text, rules)]
        default = None if field.get("type") == "object" and field.get("properties") else field.get("default")
        yield f"`{path}`{required}", _type(field), code(default), sentences(*told)
        yield from _fields(field, f"{path}.")
        yield from _fields(inner, f"{path}[].")


def _type(field: Schema) -> str:
    if field.get("type") == "array":
        return f"{_type(field['items'])}[]"
    if more := field.get("additionalProperties"):
        return f"map of {_type(more)}" if isinstance(more, dict) else "object"
    return str(
        field.get("format")
        or field.get("type")
        or ("int or string" if field.get("x-kubernetes-int-or-string") else "any")
    )
