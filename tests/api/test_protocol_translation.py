"""The event protocol's translator alone: journal events in, protocol events out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from relayrun_api.event_protocol.events import EVERYTHING, ChannelFilter, Part, ProtocolEvent
from relayrun_api.event_protocol.run_state import ProtocolRun
from relayrun_api.event_protocol.seq import LARGEST_SEQ, Places, before_run, run_of
from relayrun_api.event_protocol.translator import ProtocolTranslator
from relayrun_core.db.journal import Event, first_seq
from tests.api.play import ai, human, tool

Journal = tuple[str, Any]
At = tuple[str, ...]

NODE = {"langgraph_node": "model", "langgraph_checkpoint_ns": "model:t1"}
CALL = {"id": "c1", "name": "look", "args": {"at": 1}, "type": "tool_call"}
OK, FAILED, PAUSED, CANCELLED = (
    ("end", {"status": status}) for status in ("success", "error", "interrupted", "cancelled")
)


def translated(*journal: Journal, wanted: ChannelFilter = EVERYTHING, **run: Any) -> list[ProtocolEvent]:
    translator = ProtocolTranslator(ProtocolRun("r", 1, "graph", **run), wanted)
    return [
        told
        for seq, (name, data) in enumerate(journal)
        for told in translator.translate(Event(seq, name, orjson.dumps(data)))
    ]


def told(*journal: Journal, channels: str = "", **run: Any) -> list[tuple[str, At, Any]]:
    """What becomes of a journal: (method, namespace, data)."""
    wanted = ChannelFilter(frozenset(channels.split())) if channels else EVERYTHING
    return [(one.method, one.namespace, orjson.loads(one.data)) for one in translated(*journal, wanted=wanted, **run)]


def said(*journal: Journal, **run: Any) -> list[dict[str, Any]]:
    """The message events of a journal, without what names their message."""
    events = [data for _, _, data in told(*journal, channels="messages", **run)]
    return [{key: value for key, value in data.items() if key not in ("id", "message_id", "run_id")} for data in events]


def began(attempt: int = 1) -> Journal:
    return "metadata", {"run_id": "r", "attempt": attempt}


def token(content: Any, message_id: str = "m1", node: dict[str, Any] = NODE, **more: Any) -> Journal:
    return "messages", [{**ai(content, message_id, chunk=True), **more}, node]


def task(task_id: str = "t1", at: str = "", **more: Any) -> Journal:
    return f"tasks{at}", {"id": task_id, "name": "model", "input": {}, "triggers": [], "metadata": {}, **more}


def done(task_id: str = "t1", at: str = "", error: Any = None, interrupts: Any = ()) -> Journal:
    return f"tasks{at}", {"id": task_id, "name": "model", "error": error, "interrupts": interrupts, "result": {}}


def checkpoint(number: int, at: str = "", parent: int | None = None) -> Journal:
    def config(which: int) -> dict[str, Any]:
        return {"configurable": {"checkpoint_id": f"c{which}", "checkpoint_ns": at.removeprefix("|")}}

    data: dict[str, Any] = {"config": config(number), "metadata": {"step": number, "source": "loop", "parents": {}}}
    return f"checkpoints{at}", data | ({} if parent is None else {"parent_config": config(parent)})


def test_a_run_is_told_from_its_beginning_to_its_end() -> None:
    events = told(
        began(),
        ("values", {"n": 1}),
        checkpoint(1, parent=0),
        task(),
        ("custom", {"percent": 5}),
        ("updates", {"model": {"n": 2}}),
        done(),
        ("values", {"n": 2}),
        checkpoint(2, parent=1),
        OK,
    )
    assert events == [
        ("lifecycle", (), {"event": "running", "graph_name": "graph"}),
        ("checkpoints", (), {"id": "c1", "parent_id": "c0", "step": 1, "source": "loop"}),
        ("values", (), {"n": 1}),
        ("tasks", (), task()[1]),
        ("custom", (), {"percent": 5}),
        ("updates", (), {"model": {"n": 2}}),
        ("tasks", (), done()[1] | {"interrupts": []}),
        ("checkpoints", (), {"id": "c2", "parent_id": "c1", "step": 2, "source": "loop"}),
        ("values", (), {"n": 2}),
        ("lifecycle", (), {"event": "completed", "graph_name": "graph"}),
    ]


@pytest.mark.parametrize(
    ("status", "error", "event"),
    [
        ("success", None, {"event": "completed"}),
        ("error", "boom", {"event": "failed", "error": "boom"}),
        ("timeout", "too long", {"event": "failed", "error": "too long"}),
        ("error", None, {"event": "failed", "error": "The run ended as error."}),
        ("interrupted", None, {"event": "interrupted"}),
        ("cancelled", None, {"event": "interrupted"}),
    ],
)
def test_every_run_has_an_end(status: str, error: str | None, event: dict[str, Any]) -> None:
    failure = [("error", {"error": "ValueError", "message": error})] if error else []
    end = ("end", {"status": status})
    assert told(began(), *failure, end)[-1] == ("lifecycle", (), {**event, "graph_name": "graph"})
    # Also where no runner ever had it.
    assert [data["event"] for _, _, data in told(*failure, end)] == ["running", event["event"]]


def test_the_ids_of_lifecycle_events_name_their_run() -> None:
    ids = [one.identity for one in translated(began(), began(2), OK)]
    assert ids == ["synth:r:lc||running", "synth:r:lc||running:2", "synth:r:lc||completed"]


def test_a_streamed_message_is_begun_grown_and_finished() -> None:
    usage = {"usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "details": {"audio": 1}}}
    model = {"response_metadata": {"model_name": "m-1", "model_provider": "p"}}
    journal = (
        began(),
        task(),
        token("he", **model),
        token("llo", **usage),
        token("", response_metadata={"finish_reason": "stop"}, **usage),
        done(),
    )
    assert said(*journal) == [
        {"event": "message-start", "role": "ai", "metadata": {"provider": "p", "model": "m-1"}},
        {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}},
        {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": "he"}},
        {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": "llo"}},
        {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": "hello"}},
        {
            "event": "message-finish",
            "usage": {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6, "details": {"audio": 1}},
            "metadata": {"model_name": "m-1", "model_provider": "p", "finish_reason": "stop"},
        },
    ]
    first, second, *_ = translated(*journal, wanted=ChannelFilter(frozenset(("messages",))))
    assert first.node == "model"
    assert orjson.loads(first.data)["id"] == orjson.loads(second.data)["message_id"] == "m1"


def test_a_tool_call_that_is_streamed_has_its_arguments_in_the_end() -> None:
    def slice_of(**call: Any) -> Journal:
        return token("", tool_call_chunks=[{"id": None, "name": None, "args": None, "index": 1, **call}])

    events = said(
        began(),
        token("wait"),
        slice_of(id="c1", name="look", args=""),
        slice_of(args='{"at"'),
        slice_of(args=": 1}"),
        token("", chunk_position="last"),
    )
    assert [event["event"] for event in events] == [
        "message-start",
        *("content-block-start", "content-block-delta"),
        *("content-block-start", "content-block-delta", "content-block-delta"),
        *("content-block-finish", "content-block-finish"),
        "message-finish",
    ]
    assert events[3]["content"] == {"type": "tool_call_chunk", "id": "c1", "name": "look", "index": 1, "args": ""}
    assert events[4]["delta"] == {"type": "tool-call-delta", "args": '{"at"'}
    assert events[7] == {"event": "content-block-finish", "index": 1, "content": CALL}


def test_arguments_that_are_no_object_are_told_as_they_are() -> None:
    for text in ('{"at', "[1]"):
        call = {"id": "c1", "name": "look", "args": text, "index": 0}
        finished = said(began(), token("", tool_call_chunks=[call], chunk_position="last"))[-2]["content"]
        assert finished == {
            "type": "invalid_tool_call",
            "id": "c1",
            "name": "look",
            "args": text,
            "error": "The arguments are not a JSON object.",
        }


@pytest.mark.parametrize(
    ("content", "start", "delta", "finish"),
    [
        (
            [{"type": "thinking", "thinking": "hm", "index": 0}],
            {"type": "reasoning", "reasoning": ""},
            {"type": "reasoning-delta", "reasoning": "hm"},
            {"type": "reasoning", "reasoning": "hm", "index": 0},
        ),
        (
            [{"type": "image", "base64": "aGk=", "mime_type": "image/png"}],
            {"type": "image", "mime_type": "image/png"},
            {"type": "data-delta", "data": "aGk=", "encoding": "base64"},
            {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        ),
        (
            [{"type": "chart", "points": [1]}],
            {"type": "non_standard", "value": {}},
            None,
            {"type": "non_standard", "value": {"type": "chart", "points": [1]}},
        ),
        ([{"type": "tool_use", "id": "c1", "name": "look", "input": {}}], None, None, None),
    ],
)
def test_content_in_other_forms_becomes_blocks(
    content: list[Any], start: dict[str, Any] | None, delta: dict[str, Any] | None, finish: dict[str, Any] | None
) -> None:
    events = said(began(), token(content, chunk_position="last"))
    blocks = [event.get("content") or event.get("delta") for event in events[1:-1]]
    assert blocks == [block for block in (start, delta, finish) if block is not None]


def test_blocks_that_a_runner_has_made_are_taken() -> None:
    blocks = [{"type": "reasoning", "reasoning": "hm", "index": "a"}, {"type": "text", "text": "so", "index": "b"}]
    events = said(began(), token("ignored", content_blocks=blocks, chunk_position="last"))
    assert [event["content"]["type"] for event in events if "content" in event] == ["reasoning", "text"] * 2


def test_a_message_that_comes_whole_is_told_whole() -> None:
    calls = {"tool_calls": [CALL], "invalid_tool_calls": [{"id": "c2", "name": "x", "args": "{", "error": "no"}]}
    events = said(began(), ("messages", [{**ai("hello", "m1"), **calls}, NODE]))
    assert [event.get("content", event.get("delta", event["event"])) for event in events] == [
        "message-start",
        {"type": "text", "text": ""},
        {"type": "text-delta", "text": "hello"},
        {**CALL, "args": {}},
        {"type": "invalid_tool_call", "id": "c2", "name": "x", "error": "no"},
        {"type": "text", "text": "hello"},
        CALL,
        {"type": "invalid_tool_call", **calls["invalid_tool_calls"][0]},
        "message-finish",
    ]


@pytest.mark.parametrize(("message", "role"), [(human("hi", "h1"), "human"), (ai("hi", "m1"), "ai")])
def test_messages_of_people_are_told_too(message: dict[str, Any], role: str) -> None:
    assert said(began(), ("messages", [message, NODE]))[0] == {"event": "message-start", "role": role}


@pytest.mark.parametrize("message", [tool("42", "c1"), {**ai("x", "m"), "id": None}, {**ai("x", "m"), "type": "odd"}])
def test_tools_answers_and_messages_without_a_name_are_left_to_other_channels(message: dict[str, Any]) -> None:
    assert said(began(), ("messages", [message, NODE])) == []


def test_a_message_is_told_once() -> None:
    streamed = (began(), task(), token("hello"))
    whole = ("messages", [ai("hello", "m1"), NODE])
    for journal in ((*streamed, whole, done()), (*streamed, done(), whole), (began(), whole, whole)):
        names = [event["event"] for event in said(*journal)]
        assert names.count("message-start") == names.count("message-finish") == 1


def test_messages_of_steps_side_by_side_are_told_apart() -> None:
    other = {"langgraph_node": "other", "langgraph_checkpoint_ns": "other:t2"}
    events = told(
        began(),
        token("a", "m1"),
        token("b", "m2", other),
        done("t2"),
        token("c", "m1"),
        done("t1", error="ValueError('boom')"),
        channels="messages",
    )
    of_first = [data["event"] for _, _, data in events if "m1" in (data.get("id"), data.get("message_id"))]
    of_second = [data["event"] for _, _, data in events if "m2" in (data.get("id"), data.get("message_id"))]
    assert of_first == ["message-start", "content-block-start", "content-block-delta", "content-block-delta", "error"]
    assert of_second == [
        *("message-start", "content-block-start", "content-block-delta", "content-block-finish", "message-finish")
    ]
    assert events[-1][2] | {"run_id": 0} == {
        "event": "error", "message_id": "m1", "run_id": 0, "message": "ValueError('boom')", "code": "failed",
    }  # fmt: skip


def test_a_new_attempt_takes_back_what_was_half_told_and_tells_nothing_twice() -> None:
    events = told(
        began(),
        ("values", {"n": 1}),
        checkpoint(1),
        ("messages", [ai("whole", "m0"), NODE]),
        token("hal", "m1"),
        ("tools", {"event": "tool-started", "tool_call_id": "c1", "tool_name": "look", "input": {}}),
        ("values", {"n": "of a step that was lost"}),
        began(2),
        ("values", {"n": 1}),
        checkpoint(1),
        ("messages", [ai("whole", "m0"), NODE]),
        token("half", "m1", chunk_position="last"),
        OK,
    )
    first = next(index for index, (_, _, data) in enumerate(events) if data.get("event") == "tool-error")
    lost = {
        "message": "The runner was lost while it told this: what is missing here is told anew.",
        "code": "attempt_lost",
    }
    assert [data for _, _, data in events[first : first + 3]] == [
        {"event": "tool-error", "tool_call_id": "c1", **lost},
        {"event": "error", "message_id": "m1", "run_id": "m1", **lost},
        {"event": "running", "graph_name": "graph"},
    ]
    assert [(method, data) for method, _, data in events if method in ("values", "checkpoints")] == [
        ("checkpoints", {"id": "c1", "step": 1, "source": "loop"}),
        ("values", {"n": 1}),
    ]
    starts = [data["id"] for _, _, data in events if data.get("event") == "message-start"]
    assert starts == ["m0", "m1", "m1"]
    finished = [data["content"]["text"] for _, _, data in events if data.get("event") == "content-block-finish"]
    assert finished == ["whole", "half"]


@pytest.mark.parametrize(("end", "code"), [(CANCELLED, "aborted"), (FAILED, "aborted"), (OK, None), (PAUSED, None)])
def test_no_message_and_no_tool_is_left_open(end: Journal, code: str | None) -> None:
    started = ("tools", {"event": "tool-started", "tool_call_id": "c1", "tool_name": "look", "input": {}})
    events = [data for _, _, data in told(began(), token("hal"), started, end, channels="messages tools")]
    messages = [data for data in events if "message_id" in data]
    assert (messages[-1]["event"], messages[-1].get("code")) == ("error" if code else "message-finish", code)
    if code:
        assert [data["event"] for data in events if data.get("tool_call_id")] == ["tool-started", "tool-error"]


def test_tools_are_told_as_they_come() -> None:
    lifecycle: list[Journal] = [
        ("tools", {"event": "tool-started", "tool_call_id": "c1", "tool_name": "look", "input": {"at": 1}}),
        ("tools", {"event": "tool-output-delta", "tool_call_id": "c1", "delta": "4"}),
        ("tools", {"event": "tool-finished", "tool_call_id": "c1", "output": 42}),
    ]
    assert told(began(), *lifecycle, FAILED, channels="tools") == [("tools", (), data) for _, data in lifecycle]


ASKED = {"__interrupt__": [{"id": "i1", "value": {"question": "ok?"}}]}


def test_questions_are_told_once_when_they_can_be_answered() -> None:
    inside = {
        "__interrupt__": [*ASKED["__interrupt__"], {"id": "i2", "value": 1, "response_schema": {"type": "string"}}]
    }
    events = told(
        began(), ("updates|inner:t1", ASKED), ("updates", inside), ("values", {"n": 1, **inside}), PAUSED,
        channels="input values updates lifecycle",
    )  # fmt: skip
    assert [method for method, _, _ in events] == [
        *("lifecycle", "values", "input.requested", "input.requested", "lifecycle")
    ]
    assert events[1][2] == {"n": 1}
    question = {"interrupt_id": "i1", "payload": {"question": "ok?"}, "value": {"question": "ok?"}}
    assert events[2] == ("input.requested", ("inner:t1",), question)
    second = {"interrupt_id": "i2", "payload": 1, "value": 1, "response_schema": {"type": "string"}}
    assert events[3] == ("input.requested", (), second)


@pytest.mark.parametrize("end", [OK, FAILED, CANCELLED])
def test_questions_of_a_run_that_does_not_wait_for_their_answers_are_not_told(end: Journal) -> None:
    assert told(began(), ("updates", ASKED), end, channels="input") == []


def test_the_run_that_answers_says_so_first_and_once() -> None:
    events = told(began(), began(2), OK, answered=("i1", "i2"))
    assert events[0] == ("input.answered", (), {"interrupt_ids": ["i1", "i2"]})
    assert [method for method, _, _ in events[1:]] == ["lifecycle"] * 3


def test_subgraphs_start_and_end_with_their_tasks() -> None:
    named = {"metadata": {"lc_agent_name": "scout"}}
    events = told(
        began(),
        task("t1", input={"tool_call": {"id": "call-1"}}),
        task("t2", "|tools:t1", **named),
        task("t3", "|tools:t1|deep:t2"),
        done("t2", "|tools:t1", error={"message": "boom"}),
        done("t1", interrupts=[{"id": "i"}]),
        task("t4"),
        task("t5", "|again:t4"),
        FAILED,
        channels="lifecycle",
    )
    outer, deep, again = ("tools:t1",), ("tools:t1", "deep:t2"), ("again:t4",)
    cause = {"type": "toolCall", "tool_call_id": "call-1"}
    assert events == [
        ("lifecycle", (), {"event": "running", "graph_name": "graph"}),
        ("lifecycle", outer, {"event": "started", "graph_name": "scout", "trigger_call_id": "t1", "cause": cause}),
        ("lifecycle", deep, {"event": "started", "graph_name": "deep", "trigger_call_id": "t2"}),
        ("lifecycle", deep, {"event": "failed", "graph_name": "deep", "error": "boom"}),
        ("lifecycle", outer, {"event": "interrupted", "graph_name": "scout"}),
        ("lifecycle", again, {"event": "started", "graph_name": "again", "trigger_call_id": "t4"}),
        ("lifecycle", again, {"event": "failed", "graph_name": "again", "error": "The run ended as error."}),
        ("lifecycle", (), {"event": "failed", "graph_name": "graph", "error": "The run ended as error."}),
    ]


def test_a_run_that_was_started_elsewhere_tells_what_it_has() -> None:
    events = told(
        began(), ("values", {"n": 1}), token("hi", node={"langgraph_node": "model"}), ("updates", {"model": None}),
        ("updates|inner:t1", {"a": {}}), OK, modes=("values", "updates", "messages-tuple"),
    )  # fmt: skip
    assert [data.get("event", method) for method, _, data in events] == [
        *("running", "values", "message-start", "content-block-start", "content-block-delta"),
        *("content-block-finish", "message-finish", "updates"),
        *("updates", "started", "completed", "completed"),
    ]


def test_values_whose_checkpoint_never_comes_are_told_before_what_follows() -> None:
    for following in (("custom", 1), OK):
        methods = [method for method, _, _ in told(began(), ("values", {"n": 1}), following)]
        assert methods[1] == "values"


def test_cached_updates_are_told_by_a_later_attempt_alone() -> None:
    cached = ("updates", {"__metadata__": {"cached": True}, "model": {"n": 1}})
    assert told(began(), cached, channels="updates") == []
    assert told(began(), began(2), cached, channels="updates") == [("updates", (), {"model": {"n": 1}})]


@pytest.mark.parametrize(
    ("channels", "namespaces", "depth", "expected"),
    [
        ("values", (), None, ["", "a:1", "a:1|b:2", "c:3"]),
        ("values", ((),), 0, [""]),
        ("values", ((),), 1, ["", "a:1", "c:3"]),
        ("values", (("a",),), None, ["a:1", "a:1|b:2"]),
        ("values", (("a:1",),), 0, ["a:1"]),
        ("values", (("a:9",),), None, []),
        ("values", (("a", "b"), ("c",)), None, ["a:1|b:2", "c:3"]),
        ("updates", (), None, []),
    ],
)
def test_who_wants_what(channels: str, namespaces: tuple[At, ...], depth: int | None, expected: list[str]) -> None:
    wanted = ChannelFilter(frozenset((channels,)), namespaces, depth)
    journal = [(f"values{at}", {}) for at in ("", "|a:1", "|a:1|b:2", "|c:3")]
    found = translated(*journal, wanted=wanted, modes=("values", "tasks"))
    assert ["|".join(one.namespace) for one in found] == expected


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("custom", [{"name": "a", "x": 1}, {"name": ""}, "text"]),
        ("custom:a", [{"name": "a", "x": 1}]),
        ("custom:b", []),
    ],
)
def test_custom_events_have_a_channel_by_name(channel: str, expected: list[Any]) -> None:
    journal = [("custom", data) for data in ({"name": "a", "x": 1}, {"name": ""}, "text")]
    assert [data for _, _, data in told(*journal, channels=channel)] == expected


def numbered(*journal: tuple[int, str, Any], run: int = 1, wanted: ChannelFilter = EVERYTHING) -> list[int]:
    places, translator = Places(run), ProtocolTranslator(ProtocolRun("r", run, "graph"), wanted)
    numbers = []
    for seq, name, data in journal:
        places.at(seq)
        events = translator.translate(Event(seq, name, orjson.dumps(data)))
        numbers += [places.seq(one.part.number(one.nth)) for one in events]
    return numbers


def test_numbers_grow_and_do_not_depend_on_who_reads() -> None:
    first, second = first_seq(1), first_seq(2)
    journal = (
        *((first + number, *entry) for number, entry in enumerate((began(), task(), token("a"), done()))),
        *((second + number, *entry) for number, entry in enumerate((began(2), token("a", chunk_position="last"), OK))),
    )
    everything = numbered(*journal)
    assert everything == sorted(set(everything))
    for channel in ("lifecycle", "messages", "tasks"):
        some = numbered(*journal, wanted=ChannelFilter(frozenset((channel,))))
        assert set(some) < set(everything)
    later = numbered(*journal, run=2)
    assert before_run(1) < everything[0]
    assert everything[-1] < before_run(2) < later[0]
    assert {run_of(seq) for seq in later} == {2}


def test_numbers_of_an_attempt_are_greater_than_any_that_a_lost_tail_can_have_had() -> None:
    places = Places(1)
    places.at(first_seq(1) + 4000)
    lost = places.seq(0)
    again = Places(1)
    again.at(first_seq(1))
    again.at(first_seq(2))
    assert again.seq(0) > lost


def test_numbers_have_an_end_that_javascript_can_count_to() -> None:
    places = Places((1 << 20) - 1)
    places.at((1 << 32) + (1 << 31))
    assert places.seq(10_000) == LARGEST_SEQ == 2**53 - 1


def test_the_parts_of_one_event_have_numbers_of_their_own() -> None:
    numbers = [part.number(nth) for part in Part for nth in (0, 10_000)]
    assert numbers == sorted(numbers)
    assert len(set(map(int, Part))) == len(Part)


def test_an_event_is_written_on_one_line() -> None:
    event = ProtocolEvent("messages", ("a:1",), b'{"x":"\\n"}', "messages", node="m")
    assert orjson.loads(event.written('id"', 7, 5)) == {
        "type": "event",
        "event_id": 'id"',
        "seq": 7,
        "method": "messages",
        "params": {"namespace": ["a:1"], "timestamp": 5, "node": "m", "data": {"x": "\n"}},
    }
    assert b"\n" not in event.written("id", 7, 5)
