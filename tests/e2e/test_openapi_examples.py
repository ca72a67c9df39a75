"""Every example of the OpenAPI document is sent to a real server, and its answer is as the document says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from relayrun_api.http import examples as things
from relayrun_core.database import Database
from relayrun_core.db.keys import create_key
from tests.support.dev import relayrun_dev
from tests.support.reading import client_of
from tests.support.runner import AGENTS
from tests.support.waiting import until_it_is

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Json = dict[str, Any]
CONFIG = AGENTS / "documented" / "langgraph.json"
#: Examples that answer a question: for a thread that waits at one.
ANSWERS = ("an answer", "input.respond")
#: Operations on a run that has not ended.
ENDING = ("cancel_run", "cancel_chat", "cancel_runs")
#: Operations after which there is nothing left to ask about.
LAST = ("delete_run", "delete_cron", "delete_assistant", "delete_item", "delete_thread")
#: Streams that tell from now on, and of what has ended nothing.
TOLD_FROM_NOW_ON = ("join_run_stream",)
#: What needs the id of an event that came before: test_mcp.py has it.
GOING_ON = ("resume_mcp",)


class Examples:
    """Sends the document's examples, about things that exist here in place of those that it names."""

    def __init__(self, http: httpx.AsyncClient, document: Json) -> None:
        self._http = http
        self._document = document
        self._here: dict[str, str] = {}
        self.sent: list[str] = []

    async def make_things(self) -> None:
        run = await self._post("/threads/refund-4711/runs", {**_asking(things.TOLD), "if_not_exists": "create"})
        await self._http.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}/join")
        state = (await self._http.get(f"/threads/{run['thread_id']}/state")).json()
        assistant = await self._post("/assistants", {"graph_id": "agent"})
        cron = await self._post("/runs/crons", {**_asking("Hello"), "schedule": "@yearly"})
        self._here = {
            things.RUN: run["run_id"],
            things.CHECKPOINT: state["checkpoint"]["checkpoint_id"],
            things.ASSISTANT: assistant["assistant_id"],
            things.CRON: cron["cron_id"],
            things.KEY: (await self._post("/keys", {"owner": "ann"}))["key_id"],
        }
        await self._http.put("/store/items", json={"namespace": ["users", "ann"], "key": "address", "value": {}})

    async def send_all(self) -> None:
        operations = [
            (method.upper(), path, operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
            if operation["operationId"] not in GOING_ON
        ]
        for method, path, operation in sorted(operations, key=lambda found: found[2]["operationId"] in LAST):
            for shows, body in _bodies(operation):
                await self._until_idle()  # what another example started would keep this one from its thread
                here = await self._special(operation["operationId"], shows)
                in_path = {**here, "agent": here[things.ASSISTANT]}  # a graph's own assistant is not to be changed
                await self._send(method, _filled(path, operation, in_path), operation, _about(body, here))
                self.sent.append(f"{operation['operationId']}: {shows}")

    async def _special(self, name: str, shows: str) -> dict[str, str]:
        """What there is here, for one example."""
        here = dict(self._here)
        if shows in ANSWERS:
            run = await self._post("/runs", {**_asking("Refund order 4711"), "on_completion": "keep"})
            await self._http.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}/join")
            question = (await self._http.get(f"/threads/{run['thread_id']}/state")).json()["interrupts"][0]["id"]
            here |= {things.NAME: run["thread_id"], things.QUESTION: question}
        if name in ENDING:
            run = await self._post("/threads/refund-4711/runs", {**_asking("Hello"), "after_seconds": 3600})
            here |= {things.RUN: run["run_id"]}
        if name == "delete_thread":
            await self._http.post("/runs/cancel", json={"status": "all"})
        return here

    async def _until_idle(self) -> None:
        async def idle() -> bool:
            return bool((await self._http.get(f"/threads/{things.NAME}")).json()["status"] != "busy")

        await until_it_is(idle)

    async def _post(self, path: str, body: Json) -> Json:
        answer = await self._http.post(path, json=body)
        assert answer.is_success, answer.text
        made: Json = answer.json()
        return made

    async def _send(self, method: str, path: str, operation: Json, body: Any) -> None:
        about = (operation["operationId"], method, path, body)
        async with self._http.stream(method, path, json=body) as answer:
            kind = answer.headers.get("content-type", "").partition(";")[0]
            if kind == "text/event-stream":
                begins = await anext(answer.aiter_bytes(), b"")
                assert begins or operation["operationId"] in TOLD_FROM_NOW_ON, about
            else:
                await answer.aread()
        assert answer.is_success, (about, answer.text)
        said = operation["responses"][str(answer.status_code)]
        assert kind in said.get("content", {"": None}), about
        told = {name.lower() for name in self._document["components"]["headers"]} & answer.headers.keys()
        assert told <= {name.lower() for name in said.get("headers", {})}, about
        if kind == "application/json":
            components = {**self._document["components"], "schemas": self._closed()}
            schema = {**said["content"][kind]["schema"], "components": components}
            Draft202012Validator(schema).validate(answer.json())

    def _closed(self) -> Json:
        """The schemas, with no members but those that they name."""
        return {
            name: {"additionalProperties": False, **schema} if "properties" in schema else schema
            for name, schema in self._document["components"]["schemas"].items()
        }


def _asking(message: str) -> Json:
    return {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": message}]}}


def _bodies(operation: Json) -> list[tuple[str, Any]]:
    if "requestBody" not in operation:
        return [("", None)]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    return [(shows, example["value"]) for shows, example in examples.items()]


def _about(value: Any, here: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _about(each, here) for key, each in value.items()}
    if isinstance(value, list):
        return [_about(each, here) for each in value]
    return here.get(value, value) if isinstance(value, str) else value


def _filled(path: str, operation: Json, here: dict[str, str]) -> str:
    required = [parameter for parameter in operation.get("parameters", ()) if parameter["required"]]
    values = {parameter["name"]: _about(parameter["example"], here) for parameter in required}
    query = {parameter["name"]: values[parameter["name"]] for parameter in required if parameter["in"] == "query"}
    return str(httpx.URL(path.format(**values), params=query or None))


@pytest.fixture
async def examples(database_url: str) -> AsyncIterator[Examples]:
    # As an admin with a key: keys are for these.
    async with Database.open(database_url, role="api") as database:
        key, _ = await create_key(database, "root", admin=True)
    environment = {"DATABASE_URL": database_url, "RELAYRUN_AUTH": "api-key"}
    async with relayrun_dev(config=CONFIG, runners=1, environment=environment) as dev, client_of(dev.url) as http:
        http.headers["X-Api-Key"] = key
        examples = Examples(http, (await http.get("/openapi.json")).json())
        await examples.make_things()
        yield examples


async def test_every_example_is_taken_and_answered_as_the_document_says(examples: Examples) -> None:
    await examples.send_all()
    assert len(examples.sent) > 60
