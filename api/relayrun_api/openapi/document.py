"""The OpenAPI document: what FastAPI makes of the routes, with what each says of itself (`Operation`) and with what all
have in common: words for parameters and members, headers, refusals.
"""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter

from relayrun_api.auth import GuardedRoute
from relayrun_api.http.bodies import JsonRoute
from relayrun_api.http.operation import Operation, Stream, Text
from relayrun_api.openapi import refusals
from relayrun_api.openapi.words import ABOUT, MEMBERS, MEMBERS_OF, PARAMETER_EXAMPLES, PARAMETERS, TAGS
from relayrun_api.runs.models import Cancelling, Values

Route = tuple[str, str]
Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
#: FastAPI's own, in place of which there are problem details.
_UNUSED = ("HTTPValidationError", "ValidationError")

_HEADERS: Mapping[str, str] = {
    "Content-Location": "The run, with its ids",
    "Location": "Where to go on reading after a lost connection",
    "Idempotency-Replayed": "`true`: an earlier request with this `Idempotency-Key` started the run",
    "RateLimit": "How many runs may be started yet, and in how many seconds there are more",
    "RateLimit-Policy": "How many runs may be started in how many seconds",
    "X-Pagination-Total": "How many there are at least",
    "X-Pagination-Next": "The `offset` to go on at, where there are more",
}
_OF_RUNS = ("Content-Location", "Location")
_OF_STARTS = (*_OF_RUNS, "Idempotency-Replayed", "RateLimit", "RateLimit-Policy")
_OF_PAGES = ("X-Pagination-Total", "X-Pagination-Next")


def completed(
    document: Json, routes: Iterable[JsonRoute], schemes: Json, prefix: str = "", *, forbids: bool = False
) -> Json:
    """`document` with everything. Guarded routes need one of the security `schemes`; `forbids`: somebody who is known
    may be refused on each of them.
    """
    declared = {(method, route.path): route for route in routes for method in route.methods or ()}
    document["info"] |= {"description": ABOUT, "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"}}
    document |= {"servers": [{"url": prefix or "/"}], "tags": [{"name": tag, "description": TAGS[tag]} for tag in TAGS]}
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _UNUSED:
        schemas.pop(name, None)
    _describe(schemas)
    answers, shapes = _answers(declared)
    schemas |= {**shapes, "Problem": refusals.SCHEMA}
    components |= {"responses": refusals.responses(), "headers": dict(_headers())}
    if schemes:
        components["securitySchemes"] = schemes
    needs: list[Json] = [{name: []} for name in schemes]
    for route, found in _operations(document):
        said = declared[route].operation
        refused = _refusals(route, found, said)
        if needs and isinstance(declared[route], GuardedRoute):
            found["security"] = needs
            refused |= {401, 403} if forbids else {401}
        elif needs and said.asks_who:
            found["security"] = [{}, *needs]
        _complete_parameters(found)
        _complete_body(found, said)
        _complete_answers(route, found, said, answers.get(route), refused)
    return document


def _operations(document: Json) -> Iterator[tuple[Route, Json]]:
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            yield (method.upper(), path), found


def _describe(schemas: Json) -> None:
    for model, schema in schemas.items():
        for name, member in schema.get("properties", {}).items():
            words = MEMBERS_OF.get(f"{model}.{name}") or MEMBERS.get(name)
            if words:
                member.setdefault("description", words)


def _headers() -> Iterator[tuple[str, Json]]:
    for name, words in _HEADERS.items():
        yield name, {"description": words, "schema": {"type": "string"}}


def _answers(declared: Mapping[Route, JsonRoute]) -> tuple[dict[Route, Json], Json]:
    """The schema of each JSON answer, and the components that they refer to."""
    kinds: list[tuple[Route, Literal["serialization"], TypeAdapter[Any]]] = [
        (key, "serialization", TypeAdapter(route.operation.answer))
        for key, route in declared.items()
        if route.operation.answer is not None and not isinstance(route.operation.answer, Stream | Text)
    ]
    found, shared = TypeAdapter.json_schemas(kinds, ref_template=_REF)
    return {route: schema for (route, _), schema in found.items()}, shared.get("$defs", {})


def _complete_parameters(found: Json) -> None:
    for parameter in found.get("parameters", ()):
        name = parameter["name"]
        parameter["schema"] = _without_null(parameter["schema"])
        if name in PARAMETERS:
            parameter.setdefault("description", PARAMETERS[name])
        if parameter["required"]:
            place = f"{parameter['in']}.{name}"
            if (example := PARAMETER_EXAMPLES.get(place, PARAMETER_EXAMPLES.get(name))) is not None:
                parameter["example"] = example


def _without_null(schema: Json) -> Json:
    """What a parameter is when it is sent: nobody can send null."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**options[0], **rest} if len(options) == 1 else schema


def _complete_body(found: Json, said: Operation) -> None:
    if "requestBody" not in found:
        return
    media = found["requestBody"]["content"]["application/json"]
    media["examples"] = {shows: {"value": body} for shows, body in said.examples.items()}


def _complete_answers(route: Route, found: Json, said: Operation, schema: Json | None, refused: set[int]) -> None:
    succeeds = next(status for status in found["responses"] if status.startswith("2"))
    content = _content(said, schema)
    names = _header_names(route, found, said)
    more = {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {}
    described = {"content": content} if content else {}
    answers: Json = {
        succeeds: {"description": "Done." if content else "Done. There is no content.", **more, **described}
    }
    for status, words in said.also.items():
        answers[str(status)] = {"description": words, **more, **({} if status == HTTPStatus.NO_CONTENT else described)}
    for status in sorted(refused - said.also.keys()):
        answers[str(status)] = refusals.reference(status)
    found["responses"] = answers


def _content(said: Operation, schema: Json | None) -> Json:
    match said.answer:
        case None:
            return {}
        case Stream():
            return {"text/event-stream": {"schema": {"type": "string"}, "example": said.answer.example}}
        case Text():
            return {said.answer.media_type: {"schema": {"type": "string"}, "example": said.answer.example}}
        case _:
            example = {} if said.example is None else {"example": said.example}
            return {"application/json": {"schema": schema, **example}}


def _header_names(route: Route, found: Json, said: Operation) -> tuple[str, ...]:
    if _starts(found):
        return _OF_STARTS
    if isinstance(said.answer, Stream) or said.answer in (Cancelling, Values):
        return _OF_RUNS
    return _OF_PAGES if route[1].endswith("/search") and "store" not in route[1] else ()


def _refusals(route: Route, found: Json, said: Operation) -> set[int]:
    statuses = set(said.refusals)
    if "system" not in found["tags"]:
        statuses |= {429, 503}
    if "{" in route[1]:
        statuses.add(404)
    if found.get("parameters"):
        statuses.add(422)
    if "requestBody" in found:
        statuses |= {408, 413, 415, 422}
    if _starts(found):
        statuses |= {404, 409}
    return statuses


def _starts(found: Json) -> bool:
    """Whether it starts runs."""
    return any(parameter["name"] == "Idempotency-Key" for parameter in found.get("parameters", ()))
