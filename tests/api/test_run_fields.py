"""What a LangGraph client can say of a run, and what it hears: every member has its fate, every mode its events."""

from __future__ import annotations

import inspect
from typing import Any
from uuid import UUID

import orjson
import pytest
from langgraph_sdk._async.runs import RunsClient as AsyncRunsClient
from langgraph_sdk._sync.runs import SyncRunsClient
from langgraph_sdk.errors import NotFoundError

from relayrun_api.http.responses import dumps, loads
from relayrun_api.runs.frames import RunFrames
from relayrun_api.runs.models import RunCreate
from relayrun_api.threads.models import Failure, Interrupt
from relayrun_core.db.journal import Event, Page
from relayrun_core.db.runs import get_run
from relayrun_core.runs import PendingInterrupt
from tests.api.conftest import Api
from tests.api.play import Attempt
from tests.api.test_refusals import check_problem
from tests.cli.documents import rows, sections

QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")

#: Parameters of the SDK's methods that are no member of the body, or another one.
NOT_IN_THE_BODY = {"self", "thread_id", "headers", "params", "on_run_created", "version", "raise_error"}
CALLED = {"langsmith_tracing": "langsmith_tracer"}


def documented() -> dict[str, str]:
    return {cells[0].strip("`"): cells[1] for cells in rows(sections("reference/runs.md")["Members of a request"])}


def test_the_page_has_every_member_that_the_sdk_sends() -> None:
    sent = set()
    for client in (AsyncRunsClient, SyncRunsClient):
        for method in ("create", "stream", "wait"):
            sent |= set(inspect.signature(getattr(client, method)).parameters) - NOT_IN_THE_BODY
    assert {CALLED.get(name, name) for name in sent} <= set(documented())


def test_what_the_page_says_works_is_read_and_the_rest_is_not() -> None:
    works = {name for name, fate in documented().items() if fate == "works"}
    assert works == set(RunCreate.model_fields)
    assert set(documented().values()) == {"works", "ignored"}


IGNORED: dict[str, Any] = {
    "stream_resumable": True,
    "stream_namespaces": [""],
    "strict_resume": True,
    "feedback_keys": ["k"],
    "langsmith_tracer": {"project_name": "p"},
    "priority": 3,
}


async def test_what_is_ignored_is_taken_and_changes_nothing(api: Api) -> None:
    assert set(IGNORED) == {name for name, fate in documented().items() if fate == "ignored"}
    plain, more = [
        (await api.http.post("/runs", json={"assistant_id": "steps", "input": {}, **ignored})).json()
        for ignored in ({}, IGNORED)
    ]
    assert plain["kwargs"] == more["kwargs"]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"stream_mode": "lifecycle"}, "#/stream_mode"),
        ({"stream_mode": ["values", "lifecycle"]}, "#/stream_mode"),
        ({"stream_mode": None}, "#/stream_mode"),
        ({"stream_mode": {"a": 1}}, "#/stream_mode"),
        ({"durability": "sometimes"}, "#/durability"),
        ({"checkpoint_id": "nothing"}, "#/checkpoint_id"),
        ({"checkpoint": {"checkpoint_ns": "inner:1", "checkpoint_map": {"": 1}}}, "#"),
        ({"checkpoint": {"checkpoint_map": []}}, "#"),
        ({"interrupt_before": "a"}, "#/interrupt_before"),
        ({"config": {"recursion_limit": 0}}, "#/config/recursion_limit"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(shared: Api, wrong: dict[str, Any], where: str) -> None:
    refused = await shared.http.post("/runs", json={"assistant_id": "steps", **wrong})
    pointers = [error["pointer"] for error in check_problem(refused, 422, "invalid_request")["errors"]]
    assert any(pointer.startswith(where) for pointer in pointers), pointers


# --- streams


def told(modes: list[str] | None, *events: tuple[str, Any]) -> list[tuple[str, Any]]:
    """What a reader gets of these journal events."""
    page = Page([Event(n, name, orjson.dumps(data)) for n, (name, data) in enumerate(events, start=1)], 1)
    found = []
    for block in RunFrames(modes).page(page).decode().strip().split("\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((lines["event"], orjson.loads(lines["data"])))
    return found


def test_tools_are_told_in_the_sdks_words() -> None:
    call = {"tool_call_id": "c1"}
    events = told(
        ["tools"],
        ("tools|tools:1", {"event": "tool-started", "tool_name": "weather", "input": {"city": "Oslo"}, **call}),
        ("tools", {"event": "tool-started", "tool_name": "other", "input": {}, "tool_call_id": "c2"}),
        ("tools|tools:1", {"event": "tool-output-delta", "delta": "su", **call}),
        ("tools|tools:1", {"event": "tool-finished", "output": "sunny", **call}),
        ("tools", {"event": "tool-error", "message": "boom", "tool_call_id": "c2"}),
        ("values", {"not": "asked for"}),
    )
    weather = {"toolCallId": "c1", "name": "weather"}
    other = {"toolCallId": "c2", "name": "other"}
    assert events == [
        ("tools|tools:1", {"event": "on_tool_start", **weather, "input": {"city": "Oslo"}}),
        ("tools", {"event": "on_tool_start", **other, "input": {}}),
        ("tools|tools:1", {"event": "on_tool_event", **weather, "data": "su"}),
        ("tools|tools:1", {"event": "on_tool_end", **weather, "output": "sunny"}),
        ("tools", {"event": "on_tool_error", **other, "error": "boom"}),
    ]


def test_whole_messages_of_subgraphs_have_no_namespace_and_all_else_has() -> None:
    events = told(
        None,
        ("messages/metadata|inner:1", {"m": {}}),
        ("messages/partial|inner:1", [1]),
        ("messages/complete|inner:1", [2]),
        ("messages|inner:1", [3, {}]),
        ("updates|inner:1", {"a": 1}),
    )
    names = [name for name, _ in events]
    assert names == [
        "messages/metadata",
        "messages/partial",
        "messages/complete",
        "messages|inner:1",
        "updates|inner:1",
    ]


# --- waiting


@pytest.mark.parametrize("pending", [(), (QUESTION,)], ids=["at a breakpoint", "at a question"])
@pytest.mark.parametrize(
    ("values", "updates"),
    [
        ({"a": 1}, [{"id": "q", "value": 1}]),
        ({"a": 1}, None),
        ({"a": 1, "__interrupt__": [1]}, [{"id": "q"}]),
        (None, None),
    ],
)
async def test_a_join_has_the_runs_own_questions_whatever_was_told(
    api: Api, values: Any, updates: Any, pending: tuple[PendingInterrupt, ...]
) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, stream_mode=["values", "updates"])
    attempt = await Attempt.begin(api.database, run["run_id"])
    if values is not None:
        await attempt.tell("values", values)
    if updates is not None:
        await attempt.tell("updates", {"__interrupt__": updates})
    await attempt.pause({"t": 1}, *pending)
    asked = {"__interrupt__": [{"value": "ok?", "id": QUESTION.id}]} if pending else {}
    assert await api.sdk.runs.join(run["thread_id"], run["run_id"]) == {"t": 1, **asked}


async def test_a_join_has_no_questions_of_a_later_run(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.tell("values", {"a": 1})
    await attempt.pause({"a": 1}, QUESTION)
    later = await api.sdk.runs.create(run["thread_id"], "steps", input={})
    other = PendingInterrupt("b" * 32, "really?", "task-2")
    await (await Attempt.begin(api.database, later["run_id"])).pause({"a": 2}, other)
    own = {"a": 1, "__interrupt__": [{"value": "ok?", "id": QUESTION.id}]}
    assert await api.sdk.runs.join(run["thread_id"], run["run_id"]) == own


# --- lists and cancels


async def test_a_list_has_the_fields_that_were_asked_for(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    thread = run["thread_id"]
    assert await api.sdk.runs.list(thread, select=["run_id", "status"]) == [
        {"run_id": run["run_id"], "status": "pending"}
    ]
    assert (await api.sdk.runs.list(thread, select=["cancel_reason"])) == [{"cancel_reason": None}]
    await api.sdk.runs.cancel(thread, run["run_id"])
    assert (await api.sdk.runs.list(thread, select=["cancel_reason"])) == [{"cancel_reason": "the run was cancelled"}]
    check_problem(await api.http.get(f"/threads/{thread}/runs?select=owner"), 422, "invalid_request")


async def test_many_runs_are_cancelled_by_their_ids_or_their_state(api: Api) -> None:
    runs = [await api.sdk.runs.create(None, "steps", input={}) for _ in range(4)]
    for run in runs[:2]:
        await Attempt.begin(api.database, run["run_id"])

    async def requested() -> list[bool]:
        found = [await get_run(api.database, UUID(run["run_id"])) for run in runs]
        return [run is not None and run.cancel_requested_at is not None for run in found]

    one = runs[3]
    foreign = [one["run_id"], runs[2]["run_id"], "00000000-0000-4000-8000-000000000001"]
    await api.sdk.runs.cancel_many(thread_id=one["thread_id"], run_ids=foreign)
    assert await requested() == [False, False, False, True]
    await api.sdk.runs.cancel_many(status="running", action="rollback")
    assert await requested() == [True, True, False, True]
    first = await get_run(api.database, UUID(runs[0]["run_id"]))
    assert first is not None
    assert first.cancel_action == "rollback"
    assert not first.is_rolled_back, "it has not ended yet"
    await api.sdk.runs.cancel_many(status="all")
    assert await requested() == [True] * 4
    named = {"thread_id": one["thread_id"], "run_ids": [one["run_id"]]}
    check_problem(await api.http.post("/runs/cancel", json=named), 404, "run_not_found")
    with pytest.raises(NotFoundError):
        await api.sdk.runs.cancel(one["thread_id"], one["run_id"])


async def test_a_strategy_is_one_of_four_on_a_thread_and_means_nothing_without_one(api: Api) -> None:
    body = {"assistant_id": "steps", "input": {}, "multitask_strategy": "wait"}
    thread = (await api.sdk.threads.create())["thread_id"]
    refused = await api.http.post(f"/threads/{thread}/runs", json=body)
    check_problem(refused, 422, "invalid_request")
    assert (await api.http.post("/runs", json=body)).json()["multitask_strategy"] == "enqueue"


async def test_a_thousand_runs_are_cancelled_page_by_page(api: Api) -> None:
    for _ in range(6):
        body = [{"assistant_id": "steps", "input": {}}] * 100
        assert (await api.http.post("/runs/batch", json=body)).status_code == 200
    assert (await api.http.post("/runs/cancel", json={"status": "pending"})).status_code == 204
    left = await api.database.fetch_one("SELECT count(*) AS runs FROM runs WHERE finished_at IS NULL")
    assert left == {"runs": 0}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "some"},
        {"thread_id": "t"},
        {"run_ids": ["00000000-0000-4000-8000-000000000001"]},
        {"thread_id": "t", "run_ids": ["x"]},
        {"thread_id": "t", "run_ids": ["00000000-0000-4000-8000-000000000001"] * 1001},
        {"thread_id": "t" * 257, "run_ids": ["00000000-0000-4000-8000-000000000001"]},
        {"status": "all", "thread_id": "t"},
        {"status": "all", "thread_id": "t", "run_ids": ["00000000-0000-4000-8000-000000000001"]},
        [],
        "all",
    ],
)
async def test_what_names_no_runs_is_refused(shared: Api, body: Any) -> None:
    check_problem(await shared.http.post("/runs/cancel", json=body), 422, "invalid_request")


def test_an_answer_beyond_orjson_is_an_object_all_the_same() -> None:
    told = dumps({"error": Failure("ValueError", "half \ud800"), "interrupts": [Interrupt("q", {"whole": 2**70})]})
    assert loads(told) == {
        "error": {"error": "ValueError", "message": "half \N{REPLACEMENT CHARACTER}"},
        "interrupts": [{"id": "q", "value": {"whole": pytest.approx(2**70)}}],
    }
