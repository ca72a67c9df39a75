"""The official client of the Model Context Protocol against `relayrun dev`: in the newest version and an older one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp_types import ElicitResult

from tests.e2e.test_dev_crashes import kill_at_once
from tests.support.dev import Dev

TICKS = 20
MODES = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])


@asynccontextmanager
async def client_of(dev: Dev, mode: Any, **more: Any) -> AsyncIterator[Client]:
    async with Client(f"{dev.url}/mcp", mode=mode, **more) as client:
        yield client


@MODES
async def test_assistants_are_tools_and_calls_are_runs(compat_dev: Dev, mode: str) -> None:
    told: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, _: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with client_of(compat_dev, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"plain", "talk", "ask", "resume_run"} <= set(tools)
        assert set(tools["plain"].input_schema["properties"]) == {"topic", "done"}
        assert tools["talk"].input_schema["properties"]["messages"]["type"] == "string"
        assert "ReAct_Agent" in tools, "as its author calls the graph `named`"
        result = await client.call_tool("plain", {"topic": "x"}, progress_callback=on_progress)
        for name in ("ReAct_Agent", "named"):
            assert not (await client.call_tool(name, {"topic": "x"})).is_error
    assert not result.is_error
    assert result.structured_content == {"topic": "x", "done": ["first", "second plain"]}
    assert told == [(1, '{"at":"first"}'), (2, "first"), (3, "second")]


@MODES
async def test_a_message_is_the_text_and_a_failure_an_error_result(compat_dev: Dev, mode: str) -> None:
    async with client_of(compat_dev, mode) as client:
        for messages in ("hi", [{"role": "user", "content": "hi"}]):
            said = await client.call_tool("talk", {"messages": messages})
            assert said.structured_content is not None
            assert said.structured_content["messages"][0]["content"] == "hi"
        failed = await client.call_tool("fails", {"topic": "x"})
    assert [block.text for block in said.content] == ["one two three"]  # type: ignore[union-attr]
    assert failed.is_error
    assert "ValueError: this node is broken" in failed.content[0].text  # type: ignore[union-attr]


@MODES
async def test_who_cannot_be_asked_answers_with_a_tool(compat_dev: Dev, mode: str) -> None:
    async with client_of(compat_dev, mode) as client:
        asked = await client.call_tool("ask", {"topic": "x"})
        assert asked.structured_content is not None
        assert [question["value"] for question in asked.structured_content["interrupts"]] == [{"question": "ok?"}]
        arguments = {"thread_id": asked.structured_content["thread_id"], "answer": "yes"}
        answered = await client.call_tool("resume_run", arguments)
        assert answered.structured_content == {"topic": "x", "done": ["first", "approved yes", "second plain"]}
        again = await client.call_tool("resume_run", arguments)
    assert again.is_error


@MODES
async def test_the_clients_user_is_asked(compat_dev: Dev, mode: str) -> None:
    asked: list[str] = []

    async def answer(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"answer": "yes"})

    async with client_of(compat_dev, mode, elicitation_callback=answer) as client:
        one = await client.call_tool("ask", {"topic": "x"})
        three = await client.call_tool("asks_three", {"topic": "x"})
    assert one.structured_content == {"topic": "x", "done": ["first", "approved yes", "second plain"]}
    assert three.structured_content == {"log": ["a: yes", "b: yes", "c: yes"]}
    assert asked == ["ok?", "A?", "B?", "C?"]


@MODES
async def test_a_user_who_declines_leaves_the_run_waiting(compat_dev: Dev, mode: str) -> None:
    asked: list[str] = []

    async def decline(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="decline")

    async with client_of(compat_dev, mode, elicitation_callback=decline) as client:
        left = await client.call_tool("ask", {"topic": "x"})
        assert left.structured_content is not None
        assert "resume_run" in left.content[0].text  # type: ignore[union-attr]
        arguments = {"thread_id": left.structured_content["thread_id"], "answer": "later"}
        answered = await client.call_tool("resume_run", arguments)
    assert answered.structured_content == {"topic": "x", "done": ["first", "approved later", "second plain"]}
    assert asked == ["ok?"]


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_client_has_the_end_though_runners_and_api_are_killed(
    dev: Dev, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By itself it comes back twice, five seconds later each: a loaded machine may need longer for a new API.
    monkeypatch.setattr("mcp.client.streamable_http.MAX_RECONNECTION_ATTEMPTS", 30)
    told: list[float] = []
    steps: list[str | None] = []

    async def on_progress(progress: float, _: float | None, message: str | None) -> None:
        told.append(progress)
        steps.append(message)
        if len(told) == 8:
            kill_at_once(dev.running("relayrun_runner"))
        if len(told) == 16:
            kill_at_once(dev.running("relayrun_api"))

    async with client_of(dev, "legacy") as client:
        result = await client.call_tool("ticks", {"upto": TICKS, "pause": 0.1}, progress_callback=on_progress)
    assert not result.is_error
    assert told == [*range(1, len(told) + 1)]
    assert steps.count("tick") == TICKS
    assert result.meta is not None
    async with httpx.AsyncClient(base_url=dev.url, timeout=60) as http:
        runs = (await http.get(f"/threads/{result.meta['relayrun/thread_id']}/runs")).raise_for_status().json()
    assert [run["status"] for run in runs] == ["success"]
