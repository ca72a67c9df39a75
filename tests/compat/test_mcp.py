"""The tools of the Model Context Protocol, as `langgraph dev` has them: what they are called and take, and what a call
gives.
"""

from __future__ import annotations

from ast import literal_eval
from typing import Any

import httpx
import pytest

from bench.servers import Server
from tests.compat.conftest import AGENT
from tests.support.waiting import until_it_is

GRAPHS = (AGENT / "langgraph.json").read_text().count(".py:")
ACCEPT = {"accept": "application/json", "mcp-protocol-version": "2025-06-18"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def asked(server: Server, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    async with httpx.AsyncClient(timeout=90, headers=ACCEPT) as http:
        answer = await http.post(f"{server.url}/mcp", json=body)
    told: dict[str, Any] = answer.raise_for_status().json()
    return told


async def tools_of(server: Server) -> dict[str, dict[str, Any]]:
    tools: dict[str, dict[str, Any]] = {}

    async def all_there() -> bool:
        listed = (await asked(server, "tools/list"))["result"]["tools"]
        tools.update((tool["name"], tool) for tool in listed if tool["name"] != "resume_run")
        return len(tools) >= GRAPHS

    await until_it_is(all_there, seconds=120)
    return tools


async def test_tools_are_called_alike_and_take_the_same(servers: tuple[Server, Server]) -> None:
    ours, theirs = [await tools_of(server) for server in servers]
    assert sorted(ours) == sorted(theirs)
    for name, tool in ours.items():
        assert tool["title"] == theirs[name]["title"]
        fields, known = tool["inputSchema"]["properties"], theirs[name]["inputSchema"]["properties"]
        assert {field: schema.get("type") for field, schema in fields.items()} == {
            field: schema.get("type") for field, schema in known.items()
        }
        assert tool["inputSchema"].get("required") == theirs[name]["inputSchema"].get("required")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plain", {"topic": "x"}),
        ("plain", {}),
        ("plain", {"topic": 7, "unknown": 1}),
        ("ReAct_Agent", {"topic": "x"}),
    ],
)
async def test_calls_have_the_same_output(servers: tuple[Server, Server], name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = [
        (await asked(one, "tools/call", {"name": name, "arguments": arguments}))["result"] for one in servers
    ]
    assert not ours["isError"]
    # There it is a text of Python, and here structured too.
    assert ours["structuredContent"] == literal_eval(theirs["content"][0]["text"])


async def test_a_text_is_a_message(servers: tuple[Server, Server]) -> None:
    call = {"name": "talk", "arguments": {"messages": "hi"}}
    ours, theirs = [(await asked(server, "tools/call", call))["result"] for server in servers]
    messages = literal_eval(theirs["content"][0]["text"])["messages"]
    shown = [[(message["type"], message["content"]) for message in told] for told in (
        ours["structuredContent"]["messages"], messages,
    )]  # fmt: skip
    assert shown[0] == shown[1]


async def test_a_failure_is_an_error_result(servers: tuple[Server, Server]) -> None:
    call = {"name": "fails", "arguments": {"topic": "x"}}
    for server in servers:
        result = (await asked(server, "tools/call", call))["result"]
        assert result["isError"]
        assert "ValueError" in result["content"][0]["text"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {"name": "none such", "arguments": {}}, -32602),
        ("tools/call", {"arguments": {}}, -32602),
        ("resources/list", {}, -32601),
        ("prompts/list", {}, -32601),
        ("none/such", {}, -32601),
    ],
)
async def test_errors_have_the_same_codes(
    servers: tuple[Server, Server], method: str, params: dict[str, Any], code: int
) -> None:
    assert [(await asked(server, method, params))["error"]["code"] for server in servers] == [code, code]
