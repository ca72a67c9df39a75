"""A page for the operations of the HTTP API, of its OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from relayrun_api.app import create_app
from relayrun_api.settings import ApiSettings
from tests.docs.reference.markdown import NOTE, code, limits, sentences, table, text

Json = dict[str, Any]
_METHODS = ("get", "put", "post", "patch", "delete", "head", "options")


def page() -> str:
    """Every operation, by its tag: parameters, body, answers."""
    document = create_app(ApiSettings(auth="api-key")).openapi()
    tagged: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if operation := operations.get(method):
                tagged.setdefault(operation.get("tags", ["other"])[0], []).append(
                    "".join(_operation(document, method, path, operation))
                )
    parts = [
        (
            f"# All operations\n\n{NOTE}Every operation of the [HTTP API](api.md). Each server shows the"
            " same at `/docs`, with examples to try, and"
            " as OpenAPI 3.1 at `/openapi.json`. A parameter or member with a * is required.\n\n"
        )
    ]
    for tag, told in tagged.items():
        parts.append(f"## {text(tag)}\n\n" + "".join(told))
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).rstrip() + "\n"


def _operation(document: Json, method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### {operation['operationId']}\n\n`{method.upper()} {path}`: {text(operation.get('summary'))}\n\n"
    if described := operation.get("description"):
        yield "\n\n".join(text(paragraph) for paragraph in described.split("\n\n")) + "\n\n"
    parameters = [_resolved(document, each) for each in operation.get("parameters", ())]
    yield table(("Parameter", "In", "Type", "What it is"), (_parameter(document, each) for each in parameters))
    for content in _resolved(document, operation.get("requestBody", {})).get("content", {}).values():
        yield table(("Member of the body", "Type", "What it is"), _members(document, content.get("schema", {})))
        break
    answers = [
        (code(status), text(_resolved(document, answer).get("description")))
        for status, answer in operation["responses"].items()
    ]
    yield table(("Answer", ""), answers)


def _parameter(document: Json, parameter: Json) -> tuple[str, ...]:
    schema = _resolved(document, parameter.get("schema", {}))
    name = code(parameter["name"]) + (" *" if parameter.get("required") else "")
    return name, parameter["in"], _type(document, schema), _told(parameter, schema)


def _members(document: Json, schema: Json) -> Iterator[tuple[str, ...]]:
    schema = _resolved(document, schema)
    for alternative in schema.get("anyOf", schema.get("oneOf", [schema]))[:1]:
        body = _resolved(document, alternative)
        for name, member in body.get("properties", {}).items():
            inner = _resolved(document, member)
            yield (
                code(name) + (" *" if name in body.get("required", ()) else ""),
                _type(document, inner),
                _told(member, inner),
            )


def _told(outer: Json, schema: Json) -> str:
    default = outer.get("default", schema.get("default"))
    told = [
        text(outer.get("description") or schema.get("description")),
        limits(schema),
        "" if default is None else f"Default {code(default)}",
    ]
    return sentences(*told)


def _type(document: Json, schema: Json) -> str:
    schema = _resolved(document, schema)
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(document, each) for each in several))
    if schema.get("type") == "array":
        return f"list of {_type(document, schema.get('items', {}))}"
    told = schema.get("type", "any")
    return " or ".join(told) if isinstance(told, list) else str(told)


def _resolved(document: Json, schema: Json) -> Json:
    while reference := schema.get("$ref"):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema
