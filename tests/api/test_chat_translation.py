"""The chat translator alone: journal events in, chat events out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from relayrun_api.chat.translator import ChatFrames, ChatTranslator
from relayrun_api.streaming.sse import START, Position, frame, position_after
from relayrun_core.db.journal import Event, Page
from tests.api.play import ai, human, tool

META = {"langgraph_node": "chat"}
CALL = {"id": "c1", "name": "t", "args": {"x": 1}, "type": "tool_call"}


def told(*events: tuple[str, Any]) -> list[dict[str, Any]]:
    translator = ChatTranslator("r", "t")
    return [out for name, data in events for out in translator.translate(name, orjson.dumps(data))]


def start(attempt: int = 1, **more: Any) -> tuple[str, Any]:
    return "metadata", {"run_id": "r", "attempt": attempt, **more}


def token(text: str, message_id: str) -> tuple[str, Any]:
    return "messages", [ai(text, message_id, chunk=True), META]


def test_tokens_are_followed_by_the_message_that_replaces_them() -> None:
    events = told(
        start(), token("he", "m1"), token("llo", "m1"), ("updates", {"chat": {"messages": [ai("hello", "m1")]}})
    )
    assert events == [
        {"type": "start", "run_id": "r", "thread_id": "t", "attempt": 1},
        {"type": "token", "message_id": "m1", "node": "chat", "text": "he"},
        {"type": "token", "message_id": "m1", "node": "chat", "text": "llo"},
        {"type": "message", "message": {"id": "m1", "role": "assistant", "content": "hello", "tool_calls": []}},
        {"type": "update", "node": "chat", "values": {"messages": [ai("hello", "m1")]}},
    ]


def test_a_tool_call_and_its_result_are_told_once_and_complete() -> None:
    message = ai("", "m1", calls=[CALL])
    events = told(
        ("messages", [message, META]),
        ("updates", {"chat": {"messages": [message]}}),
        ("messages", [tool("42", "c1"), {"langgraph_node": "tools"}]),
        ("updates", {"tools": {"messages": [tool("42", "c1")]}}),
    )
    assert [event["type"] for event in events] == ["message", "tool_call", "update", "tool_result", "update"]
    assert events[1] == {
        "type": "tool_call",
        "id": "c1",
        "name": "t",
        "args": {"x": 1},
        "message_id": "m1",
        "node": "chat",
    }
    assert events[3] == {"type": "tool_result", "id": "c1", "name": "t", "status": "success", "content": "42"}


def test_a_new_attempt_names_the_half_sent_messages_only() -> None:
    events = told(
        start(),
        token("whole", "m1"),
        ("updates", {"chat": {"messages": [ai("whole", "m1")]}}),
        token("hal", "m2"),
        start(2),
    )
    assert events[-1] == {"type": "attempt", "attempt": 2, "reason": "Resumed", "discard": ["m2"]}


def test_a_run_whose_first_attempt_said_nothing_starts_with_the_second() -> None:
    assert told(start(2)) == [{"type": "start", "run_id": "r", "thread_id": "t", "attempt": 2}]


def test_a_subgraph_speaks_but_its_steps_are_not_told() -> None:
    events = told(
        ("updates|inner:1", {"chat": {"messages": [ai("hi", "m1")]}}),
        ("updates", {"inner": {"messages": [ai("hi", "m1")]}}),
    )
    assert [event["type"] for event in events] == ["message", "update"]
    assert events[1]["node"] == "inner"


def test_what_a_person_said_is_not_told_back() -> None:
    assert [event["type"] for event in told(("updates", {"n": {"messages": [human("hi", "h1")]}}))] == ["update"]


@pytest.mark.parametrize("values", [None, [], "text", [None, {"messages": ai("x", "m")}], {"messages": {"content": 1}}])
def test_updates_of_any_shape_are_passed_on(values: Any) -> None:
    assert told(("updates", {"n": values}))[-1] == {"type": "update", "node": "n", "values": values}


def test_an_interrupt_is_told_once_and_breakpoints_are_not_questions() -> None:
    question = [{"id": "i1", "value": {"ask": 1}, "ns": ["x"]}]
    events = told(
        ("updates", {"__interrupt__": question}),
        ("updates", {"__interrupt__": question}),
        ("updates", {"__interrupt__": []}),
    )
    assert events == [{"type": "interrupt", "interrupts": [{"id": "i1", "value": {"ask": 1}}]}]


def test_an_error_comes_before_the_end() -> None:
    events = told(
        ("error", {"error": "ValueError", "message": "boom"}), ("end", {"status": "error", "reason": "GraphError"})
    )
    assert [event["type"] for event in events] == ["error", "end"]
    assert events[0]["code"] == "run_failed"
    assert events[0]["detail"] == "ValueError: boom"
    assert events[1] == {"type": "end", "run_id": "r", "thread_id": "t", "status": "error"}


@pytest.mark.parametrize("status", ["error", "timeout"])
def test_a_failure_without_an_error_event_still_has_one(status: str) -> None:
    assert [event["type"] for event in told(("end", {"status": status, "reason": "X"}))] == ["error", "end"]


def test_text_blocks_become_text() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image"}, "b", {"type": "text", "text": None}]
    message = {**ai("", "m1"), "content": content}
    assert told(("messages", [message, META]))[0]["message"]["content"] == "ab"


def test_lone_surrogates_in_the_journal_do_not_end_the_stream() -> None:
    translated = ChatTranslator("r", "t").translate("custom", b'{"x": "\\ud800!"}')
    assert orjson.dumps(translated)


JOURNAL = [
    Event(1, "metadata", orjson.dumps({"run_id": "r", "attempt": 1})),
    Event(2, "updates", orjson.dumps({"n": {"messages": [ai("hi", "m1", calls=[CALL])]}})),
    Event(3, "values", b"{}"),
    Event(4, "end", orjson.dumps({"status": "success"})),
]


def frames_after(text: str | None) -> list[bytes]:
    frames = ChatFrames(ChatTranslator("r", "t"), position_after(text, 7) or START)
    return [part for part in frames.page(Page(JOURNAL, 7)).split(b"\n\n") if part]


def ids(frames: list[bytes]) -> list[str]:
    return [line[4:] for part in frames for line in part.decode().split("\n") if line.startswith("id: ")]


def test_events_made_of_one_have_ids_of_their_own_and_the_last_the_plain_one() -> None:
    assert ids(frames_after(None)) == ["7-1", "7-2.1", "7-2.2", "7-2", "7-4"]


@pytest.mark.parametrize("at", range(5))
def test_a_reader_that_comes_back_gets_exactly_the_rest(at: int) -> None:
    everything = frames_after(None)
    assert frames_after(ids(everything)[at]) == everything[at + 1 :]


@pytest.mark.parametrize("text", ["-", "-1", "3-99"])
def test_the_start_has_several_names_and_an_earlier_run_is_one(text: str | None) -> None:
    assert position_after(text, 7) == START


@pytest.mark.parametrize("text", [None, "", "x", "7-a", "7-1.b", "8-1", "7-1-1"])
def test_what_is_no_event_id_is_no_position(text: str | None) -> None:
    assert position_after(text, 7) is None


def test_a_part_is_before_its_whole() -> None:
    assert position_after("7-4294967297.2", 7) == Position(4294967296, 2)


def test_a_frame_is_one_event() -> None:
    assert frame("values", b"{}", "1-2") == b"event: values\r\nid: 1-2\r\ndata: {}\r\n\r\n"
    assert frame("values", b"{}", newline="\n") == b"event: values\ndata: {}\n\n"


@pytest.mark.parametrize(("attempt", "told_again"), [(1, False), (2, True)])
def test_a_step_of_the_run_before_is_not_told_again(attempt: int, told_again: bool) -> None:
    update = {"chat": {"messages": [tool("done", "c1")]}, "__metadata__": {"cached": True}}
    kinds = [event["type"] for event in told(start(attempt), ("updates", update))]
    assert kinds == ["start", *(["tool_result", "update"] if told_again else [])]
