"""Converts a pydantic model's JSON schema to a structural schema, as CRDs need it. Pure."""

from typing import Any

from pydantic import BaseModel

#: Words of JSON Schema that a structural schema has no use for, or refuses.
_DROPPED = ("title", "additionalProperties", "const", "$ref", "anyOf", "allOf")


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model, by alias, without references. Defaults are written out, nested ones too.

    Every property must have a description: LookupError names the one that has none.
    """
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}), model.__name__)


def _convert(schema: dict[str, Any], defs: dict[str, Any], place: str) -> dict[str, Any]:
    schema = _resolved(schema, defs)
    out = {key: value for key, value in schema.items() if key not in (*_DROPPED, "$defs", "properties", "items")}
    if schema.get("default", ...) is None:
        del out["default"]  # unset is how a field without a default is left out
    if "properties" in schema:
        out["properties"] = {
            name: _property(part, defs, f"{place}.{name}") for name, part in schema["properties"].items()
        }
    if "items" in schema:
        out["items"] = _convert(schema["items"], defs, f"{place}[]")
        out["items"].pop("description", None)
    if schema.get("type") == "object" and schema.get("additionalProperties") is True:
        out["x-kubernetes-preserve-unknown-fields"] = True
    if schema.get("type") == "integer":
        out.setdefault("format", "int32")
    return _ordered(out)


def _property(schema: dict[str, Any], defs: dict[str, Any], place: str) -> dict[str, Any]:
    if "description" not in _resolved(schema, defs):
        raise LookupError(f"{place} has no description: kubectl explain would teach nothing")
    return _convert(schema, defs, place)


def _resolved(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Without a reference, and without the `null` of an optional field; what stands beside these words wins."""
    if "$ref" in schema:
        target = defs[schema["$ref"].removeprefix("#/$defs/")]
        return _resolved({**target, **{key: value for key, value in schema.items() if key != "$ref"}}, defs)
    if "anyOf" in schema:
        (some,) = (option for option in schema["anyOf"] if option != {"type": "null"})
        return _resolved({**some, **{key: value for key, value in schema.items() if key != "anyOf"}}, defs)
    return schema


def _ordered(schema: dict[str, Any]) -> dict[str, Any]:
    first = ("description", "type", "format", "default")
    head: dict[str, Any] = {key: schema[key] for key in first if key in schema}
    last: dict[str, Any] = {key: schema[key] for key in ("properties", "items") if key in schema}
    return {**head, **{key: value for key, value in schema.items() if key not in {*head, *last}}, **last}
