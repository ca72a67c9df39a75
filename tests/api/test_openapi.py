"""The OpenAPI document says all about every operation: words, examples that fit, answers, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relayrun_api.app import create_app
from relayrun_api.http.bodies import JsonRoute
from relayrun_api.openapi.words import MEMBERS, MEMBERS_OF, PARAMETER_EXAMPLES, PARAMETERS, TAGS
from relayrun_api.settings import ApiSettings
from tests.api.access import HS256

Json = dict[str, Any]

APP = create_app(ApiSettings(**(HS256 | {"auth": "jwt,api-key"})))
DOCUMENT: Json = APP.openapi()
COMPONENTS: Json = DOCUMENT["components"]
OPERATION_OF = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
PUBLIC = {operation["operationId"] for operation in OPERATION_OF.values() if operation["tags"] == ["system"]}
each_operation = pytest.mark.parametrize(
    "operation", [pytest.param(found, id=f"{method} {path}") for (method, path), found in OPERATION_OF.items()]
)


def check(value: Any, schema: Json) -> None:
    Draft202012Validator({**schema, "components": COMPONENTS}).validate(value)


def resolved(node: Json) -> Json:
    while "$ref" in node:
        where: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            where = where[part]
        node = where
    return node


def contents(operation: Json, succeeds: bool) -> Iterator[tuple[str, Json]]:
    """The media types of an operation's answers or refusals."""
    for status, answer in operation["responses"].items():
        if status.startswith("2") == succeeds:
            yield from resolved(answer).get("content", {}).items()


def test_the_document_says_what_it_is_about() -> None:
    info = DOCUMENT["info"]
    assert info["title"] == "Relayrun"
    assert info["license"]["identifier"] == "Apache-2.0"
    assert "WebSocket" in info["description"]
    assert DOCUMENT["servers"]
    assert [tag["name"] for tag in DOCUMENT["tags"]] == list(TAGS)
    assert COMPONENTS["securitySchemes"].keys() == {"bearer", "key"}


def test_every_operation_has_its_words_and_no_words_are_left_over() -> None:
    assert set(OPERATION_OF) == {
        (method, route.path) for route in APP.routes if isinstance(route, JsonRoute) for method in route.methods or ()
    }
    names = [operation["operationId"] for operation in OPERATION_OF.values()]
    assert len(set(names)) == len(names)
    assert {tag for operation in OPERATION_OF.values() for tag in operation["tags"]} == set(TAGS)
    parameters = {
        name
        for operation in OPERATION_OF.values()
        for parameter in operation.get("parameters", ())
        for name in (parameter["name"], f"{parameter['in']}.{parameter['name']}")
    }
    assert not (PARAMETERS.keys() | PARAMETER_EXAMPLES.keys()) - parameters
    members = {
        name
        for model, schema in COMPONENTS["schemas"].items()
        for member in schema.get("properties", ())
        for name in (member, f"{model}.{member}")
    }
    assert not (MEMBERS.keys() | MEMBERS_OF.keys()) - members


def test_every_reference_leads_somewhere() -> None:
    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    references = set(walk(DOCUMENT))
    for reference in references:
        assert resolved({"$ref": reference})
    unused = {f"#/components/schemas/{name}" for name in COMPONENTS["schemas"]} - references
    assert not unused
    for schema in COMPONENTS["schemas"].values():
        Draft202012Validator.check_schema(schema)


@each_operation
def test_an_operation_is_described(operation: Json) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"])
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert len(operation["tags"]) == 1
    for parameter in operation.get("parameters", ()):
        assert parameter["description"], parameter["name"]
        assert not parameter["required"] or parameter["example"], parameter["name"]


@each_operation
def test_an_operations_body_has_examples_that_fit_and_members_that_are_described(operation: Json) -> None:
    if "requestBody" not in operation:
        return
    media = operation["requestBody"]["content"]["application/json"]
    assert media["examples"]
    for example in media["examples"].values():
        check(example["value"], media["schema"])
    seen: set[str] = set()

    def describe(node: Any) -> None:
        if isinstance(node, dict):
            if (name := node.get("$ref")) is not None and name not in seen:
                seen.add(name)
                model = resolved(node)
                assert model["description"], name
                for member, schema in model.get("properties", {}).items():
                    assert schema.get("description"), (name, member)
                describe(model)
            for value in node.values():
                describe(value)
        elif isinstance(node, list):
            for value in node:
                describe(value)

    describe(media["schema"])
    assert seen or all(member.get("description") for member in media["schema"]["properties"].values())


@each_operation
def test_an_operations_answer_has_a_schema_and_an_example_that_fits(operation: Json) -> None:
    answers = {status: resolved(answer) for status, answer in operation["responses"].items()}
    assert any(status.startswith("2") for status in answers)
    for status, answer in answers.items():
        assert answer["description"]
        assert ("content" in answer) == (status != "204")
    for _, media in contents(operation, succeeds=True):
        schema = resolved(media["schema"])
        listed = resolved(schema["items"]) if schema.get("type") == "array" else None
        one = next((resolved(option) for option in schema.get("anyOf", ()) if "$ref" in option), listed or schema)
        examples = [media["example"]] if "example" in media else one["examples"]
        for example in examples:
            check([example] if listed and "example" not in media else example, media["schema"])


@each_operation
def test_an_operations_refusals_are_problems(operation: Json) -> None:
    for status, answer in operation["responses"].items():
        if status[0] not in "45" or (operation["operationId"], status) == ("get_status", "503"):
            continue
        content = resolved(answer)["content"]
        assert content.keys() == {"application/problem+json"}
        problem = content["application/problem+json"]
        assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert problem["example"]["status"] == int(status)
        check(problem["example"], problem["schema"])
    statuses = operation["responses"].keys()
    if operation["operationId"] not in PUBLIC:
        assert {"401", "503"} <= statuses
        assert operation["security"] == [{"bearer": []}, {"key": []}]
    assert ("requestBody" in operation) == ({"413", "415"} <= statuses)
    if "requestBody" in operation or operation.get("parameters"):
        assert "422" in statuses


def test_without_authentication_the_document_asks_for_no_token() -> None:
    document = create_app(ApiSettings(auth="none")).openapi()
    assert "securitySchemes" not in document["components"]
    found = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert not [operation["operationId"] for operation in found if "security" in operation]
    assert not [operation["operationId"] for operation in found if "401" in operation["responses"]]


def test_an_authors_own_authentication_may_forbid_everything() -> None:
    document = create_app(ApiSettings(auth="custom")).openapi()
    found = [operation for methods in document["paths"].values() for operation in methods.values()]
    guarded = {operation["operationId"] for operation in found if "401" in operation["responses"]}
    assert guarded == {operation["operationId"] for operation in found} - PUBLIC
    assert guarded <= {operation["operationId"] for operation in found if "403" in operation["responses"]}
