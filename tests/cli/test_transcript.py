"""How events are read from a stream, and what a person sees of them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from relayrun_cli.errors import ExitCode
from relayrun_cli.events import Event, parse
from relayrun_cli.output import age
from relayrun_cli.runs import exit_code_of
from relayrun_cli.transcript import Transcript


def transcript(*events: tuple[str, Any]) -> list[str]:
    text = io.StringIO()
    transcript_ = Transcript(Console(file=text, highlight=False, soft_wrap=True, markup=False))
    for name, data in events:
        transcript_.write(Event("1-1", name, data))
    return text.getvalue().splitlines()


def token(text: str, identity: str = "m1", node: str = "model") -> tuple[str, Any]:
    return "messages", [{"type": "AIMessageChunk", "content": text, "id": identity}, {"langgraph_node": node}]


def test_a_stream_is_read_whatever_the_chunks_and_whatever_is_in_its_strings() -> None:
    text = "one\u2028two\x85three"
    told = f"event: custom\r\nid: 1-7\r\ndata: {json.dumps(text, ensure_ascii=False)}\r\n\r\n"
    raw = f': heartbeat\n\n{told}event: cut\ndata: "o'.encode()
    assert list(parse(raw[at : at + 1] for at in range(len(raw)))) == [Event("1-7", "custom", text)]


def test_tokens_are_joined_and_a_message_is_told_once() -> None:
    whole = {"type": "ai", "content": "Hello you", "id": "m1", "tool_calls": []}
    assert transcript(
        token("Hello "),
        token([{"type": "text", "text": "you"}]),
        ("updates", {"model": {"messages": [whole], "count": 1}}),
        token("Bye", "m2"),
        ("end", {"status": "success"}),
    ) == ["model  Hello you", 'model  {"count": 1}', "model  Bye", "end  success"]


def test_tool_calls_and_their_results_have_lines_of_their_own() -> None:
    asks = {"type": "ai", "content": "", "id": "m1", "tool_calls": [{"id": "c1", "name": "find", "args": {"id": 7}}]}
    result = {"type": "tool", "content": "found", "id": "t1", "name": "find", "tool_call_id": "c1"}
    updates = [("updates", {"model": {"messages": [asks]}}), ("updates", {"tools": {"messages": [result]}})]
    assert transcript(("messages", [asks, {"langgraph_node": "model"}]), *updates) == [
        'model  calls find({"id": 7})',
        "tools (find)  found",
    ]


def test_subgraphs_attempts_questions_errors_and_other_modes_are_told() -> None:
    assert transcript(
        ("metadata", {"run_id": "r", "attempt": 1}),
        ("updates|inner:0a1b|deep:2c", {"node": {"x": 1}}),
        ("metadata", {"run_id": "r", "attempt": 2}),
        ("updates", {"beside": {"x": 1}, "__metadata__": {"cached": True}}),
        ("updates", {"__interrupt__": [{"id": "i", "value": "Sure?"}]}),
        ("updates", {"silent": None}),
        ("values", {"x": 2}),
        ("error", {"error": "ValueError", "message": "\x1b[31mno"}),
    ) == [
        'inner/deep/node  {"x": 1}',
        "relayrun  attempt 2: the run goes on",
        "beside  (done before)",
        'question  "Sure?"',
        "silent  null",
        'values  {"x": 2}',
        "error  ValueError: [31mno",
    ]


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("success", "Succeeded", ExitCode.DONE),
        ("interrupted", "WaitingForInput", ExitCode.WAITING_FOR_INPUT),
        ("interrupted", "Cancelled", ExitCode.STOPPED),
        ("timeout", "DeadlineExceeded", ExitCode.STOPPED),
        ("error", "GraphError", ExitCode.GRAPH_ERROR),
        ("error", "BackoffLimitExceeded", ExitCode.GRAPH_ERROR),
    ],
)
def test_a_runs_end_becomes_an_exit_code(status: str, reason: str, code: ExitCode) -> None:
    assert exit_code_of({"status": status, "reason": reason}) is code


def test_an_age_has_one_unit() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    times = ["2026-01-01T23:59:30+00:00", "2026-01-01T23:00:30Z", "2026-01-01T12:00:00Z", "2025-12-01T00:00:00Z", None]
    assert [age(time, now) for time in times] == ["30s", "59m", "12h", "32d", ""]
