"""Requests that are made up from the OpenAPI document, right ones and wrong ones, for every operation of a real API
without a runner: none is answered with a server's error. Always the same requests, so that a failure comes again.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, settings
from schemathesis import BaseSchema, Case
from schemathesis.config import SchemathesisConfig
from schemathesis.pytest.lazy import get_all_tests

from relayrun_api.app import create_app
from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, as_user
from tests.api.play import MESSAGES, STEPS, Attempt, register
from tests.api.process import api_process
from tests.support.postgres import fresh_database

SEED = 4711
QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")
_STABLE = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(_STABLE, max_examples=10)
BRIEF = settings(_STABLE, max_examples=5)
FUZZING = {"coverage": {"enabled": False}, "examples": {"enabled": False}}


@dataclass(frozen=True)
class Target:
    """An API to send cases to. `things`: ids that exist, each with a run that waits for a runner or for an answer."""

    url: str
    session: requests.Session
    things: tuple[dict[str, str], ...]

    def send(self, case: Case) -> requests.Response:
        """The answer's head, and its body where it is no stream."""
        request = case.as_transport_kwargs(base_url=self.url)
        response = self.session.request(**request, stream=True, timeout=20)
        try:
            if response.headers.get("Transfer-Encoding") != "chunked":
                response.content  # noqa: B018 - read, so that the connection goes on
            return response
        finally:
            response.close()

    def with_real_ids(self, case: Case) -> Case:
        """Every second case about things that exist: one that is made up ends at the first look for it."""
        chosen = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode(errors="replace"))
        if chosen % 2:
            things = self.things[chosen // 2 % len(self.things)]
            for named in (case.path_parameters, case.body):
                if isinstance(named, dict):
                    named.update({name: things[name] for name in named if name in things})
        return case


@asynccontextmanager
async def target_of(postgres: EmbeddedPostgres, headers: dict[str, str], **settings: str) -> AsyncIterator[Target]:
    """A process on a database of its own."""
    async with (
        fresh_database(postgres) as url,
        Database.open(url, role="runner") as database,
        api_process(url, **settings) as api,
    ):
        for graph, schema in (("steps", STEPS), ("talk", MESSAGES)):
            await register(database, graph, schema)
        async with httpx.AsyncClient(base_url=api.url, headers=headers) as http:
            things = [(await http.post("/runs", json={"assistant_id": "talk"})).json() for _ in range(2)]
        await (await Attempt.begin(database, things[1]["run_id"])).pause({"messages": []}, QUESTION)
        with requests.Session() as session:
            session.headers.update(headers)
            named = ("thread_id", "run_id", "assistant_id")
            yield Target(api.url, session, tuple({name: made[name] for name in named} for made in things))


@pytest.fixture(scope="module")
async def to_all(postgres: EmbeddedPostgres) -> AsyncIterator[Target]:
    async with target_of(postgres, {}) as target:
        yield target


@pytest.fixture(scope="module")
async def to_users(postgres: EmbeddedPostgres) -> AsyncIterator[Target]:
    said = {"auth": "jwt", "jwt_secret": str(HS256["jwt_secret"]), "rate_limit": "0"}
    async with target_of(postgres, as_user("alice"), **said) as target:
        yield target


@cache
def document_of(*, random: bool, **access: Any) -> BaseSchema:
    """The operations of an API with this access control. `random`: without the cases that are made up one by one."""
    # Tokens that are none are tried elsewhere; here they would keep everything else from being tried.
    generation = {"deterministic": True, "with-security-parameters": False}
    config = {"seed": SEED, "generation": generation, "phases": FUZZING if random else {}}
    return schemathesis.openapi.from_dict(openapi(**access), config=SchemathesisConfig.from_dict(config))


@cache
def openapi(**access: Any) -> dict[str, Any]:
    return create_app(ApiSettings(**access)).openapi()


def routes_of(**access: Any) -> list[Any]:
    """Every operation, as parameters of a test. The document is made when the first test runs: at collection it would
    delay every other test.
    """
    routes = [route for route in create_app(ApiSettings(**access)).routes if isinstance(route, APIRoute)]
    operations = [
        (method, route.path_format) for route in routes if route.include_in_schema for method in route.methods
    ]
    return [pytest.param(method, path, id=f"{method} {path}") for method, path in sorted(operations)]


def operations_of(document: BaseSchema) -> dict[tuple[str, str], Any]:
    found = (result.ok() for result in document.get_all_operations())
    return {(operation.method.upper(), operation.path): operation for operation in found}


@cache
def with_bodies_of_their_own(**access: Any) -> set[tuple[str, str]]:
    """The operations but those that have the same body as an earlier one."""
    found, bodies = set(), set()
    for named, operation in operations_of(document_of(random=False, **access)).items():
        body = repr(operation.definition.raw.get("requestBody"))
        if "$ref" not in body or body not in bodies:
            found.add(named)
        bodies.add(body)
    return found


def cases_of(document: BaseSchema, method: str, path: str, test: Callable[[Case], None], settings: Any) -> None:
    """Run `test` with the cases of one operation."""
    one = document.include(method=method, path=path)
    for result in get_all_tests(schema=one, test_func=test, settings=settings, given_kwargs={}):
        _, run = result.ok()
        run()


def check(target: Target, case: Case) -> None:
    response = target.send(target.with_real_ids(case))
    if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return
    sent = case.as_curl_command(base_url=target.url)
    assert response.headers["content-type"] == "application/problem+json", sent
    # What needs the compiled graph has nobody here to ask; nothing else is excused.
    assert (response.status_code, response.json()["code"]) == (503, "no_runner"), (sent, response.text)


ALL, USERS = {"auth": "none"}, HS256


@pytest.mark.parametrize("access", [ALL, USERS], ids=["all", "users"])
def test_every_operation_of_the_document_is_tried(access: dict[str, Any]) -> None:
    tried = {tuple(each.values) for each in routes_of(**access)}
    assert tried == set(operations_of(document_of(random=True, **access)))


@pytest.mark.parametrize(("method", "path"), routes_of(**ALL))
def test_no_request_is_answered_with_a_servers_error(method: str, path: str, to_all: Target) -> None:
    """Of operations with the same body one gets all that is made up from it, the others random cases."""

    def test(case: Case) -> None:
        check(to_all, case)

    document = document_of(random=(method, path) not in with_bodies_of_their_own(**ALL), **ALL)
    cases_of(document, method, path, test, THOROUGH)


@pytest.mark.parametrize(("method", "path"), routes_of(**USERS))
def test_no_request_of_a_user_is_answered_with_a_servers_error(method: str, path: str, to_users: Target) -> None:
    def test(case: Case) -> None:
        check(to_users, case)

    cases_of(document_of(random=True, **USERS), method, path, test, BRIEF)
