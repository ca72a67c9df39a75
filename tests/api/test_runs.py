"""Runs through the official client, with a runner that the test plays."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from relayrun_api.runners.dispatch import LocalDispatcher
from relayrun_core.db.claim import Claim, NotFound, claim
from relayrun_core.db.fence import is_stale
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.db.runs import get_run, unfinished_runs
from relayrun_core.errors import RunNotFound, StaleAttempt
from relayrun_core.runs import NewRun, Outcome, PendingInterrupt
from relayrun_core.states import Reason
from tests.api.conftest import Api, open_streams
from tests.api.play import Attempt
from tests.api.test_refusals import check_problem
from tests.support.reading import events
from tests.support.waiting import eventually, until

QUESTION = PendingInterrupt("a" * 32, {"ask": "ok?"}, "task-1")


async def accepted(api: Api) -> str:
    """The id of the one run that waits, as soon as there is one."""
    runs = await eventually(lambda: unfinished_runs(api.database))
    assert len(runs) == 1
    return str(runs[0].run_id)


async def cancel_requested(api: Api, run_id: UUID) -> bool:
    run = await get_run(api.database, run_id)
    assert run is not None
    return run.cancel_requested_at is not None


async def collect(stream: Any) -> list[Any]:
    return [part async for part in stream]


async def test_a_stream_has_the_journal_in_order_and_ends(api: Api) -> None:
    thread = await api.sdk.threads.create()
    created: list[Any] = []
    stream = api.sdk.runs.stream(
        thread["thread_id"],
        "steps",
        input={"steps": []},
        stream_mode=["values", "updates"],
        on_run_created=created.append,
    )
    reading = asyncio.create_task(collect(stream))
    run_id = await accepted(api)
    attempt = await Attempt.begin(api.database, run_id)
    await attempt.tell("values", {"steps": []})
    await attempt.tell("updates|inner:1", {"a": 1})
    await attempt.succeed({"steps": ["a"]})
    parts = await reading
    assert [part.event for part in parts] == ["metadata", "values", "updates|inner:1"]
    assert [part.id for part in parts] == [f"1-{(1 << 32) + n}" for n in (1, 2, 3)]
    assert parts[0].data == {"run_id": run_id, "attempt": 1}
    assert created == [{"run_id": run_id, "thread_id": thread["thread_id"]}]


async def test_wait_answers_how_the_run_ended_and_not_what_it_told_last(api: Api) -> None:
    waiting = asyncio.create_task(api.sdk.runs.wait(None, "steps", input={"steps": []}))
    attempt = await Attempt.begin(api.database, await accepted(api))
    await attempt.tell("values", {"steps": ["a"]})
    await attempt.tell("values|inner:1", {"steps": ["not this"]})
    await attempt.tell("values", {"steps": ["nor this"]})
    await attempt.succeed({"steps": ["a", "b"]})
    assert await waiting == {"steps": ["a", "b"]}


async def test_wait_answers_all_questions_whatever_the_state_says(api: Api) -> None:
    waiting = asyncio.create_task(api.sdk.runs.wait(None, "steps", input={"steps": []}))
    attempt = await Attempt.begin(api.database, await accepted(api))
    asked = [PendingInterrupt(str(n) * 32, f"{n}?", f"task-{n}") for n in range(3)]
    for question in asked:
        told = [{"value": question.value, "id": question.id}]
        await attempt.tell("values", {"steps": ["__interrupt__"], "__interrupt__": told})
    await attempt.pause({"steps": ["__interrupt__"]}, *asked)
    told = [{"value": question.value, "id": question.id} for question in asked]
    assert await waiting == {"steps": ["__interrupt__"], "__interrupt__": told}


async def test_a_questions_form_of_answer_is_told_to_who_waits(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    told = {"id": QUESTION.id, "value": "ok?", "response_schema": {"type": "boolean"}}
    await (await Attempt.begin(api.database, run["run_id"])).pause(
        ["no object"], QUESTION, questions=orjson.dumps([told])
    )
    assert await api.sdk.runs.join(run["thread_id"], run["run_id"]) == {"__interrupt__": [told]}


async def test_join_answers_with_the_runs_own_end_whatever_came_after_it(api: Api) -> None:
    thread_id, ended = None, []
    for steps in (["first"], ["second"], ["third"]):
        run = await api.sdk.runs.create(thread_id, "steps", input={})
        thread_id = run["thread_id"]
        attempt = await Attempt.begin(api.database, run["run_id"])
        if steps == ["second"]:
            await attempt.pause({"steps": steps}, QUESTION)
        else:
            await attempt.succeed({"steps": steps, "secret": "s"}, output_keys=["steps"])
        ended.append(run["run_id"])
    joined = [await api.sdk.runs.join(str(thread_id), run_id) for run_id in ended]
    asked = [{"value": QUESTION.value, "id": QUESTION.id}]
    assert joined == [{"steps": ["first"]}, {"steps": ["second"], "__interrupt__": asked}, {"steps": ["third"]}]


async def test_who_waits_for_a_run_that_is_ended_from_outside_is_told_the_threads_output(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    thread_id = run["thread_id"]
    first = await Attempt.begin(api.database, run["run_id"])
    await first.succeed({"steps": ["first"], "secret": "s"}, output_keys=["steps"])
    run = await api.sdk.runs.create(thread_id, "steps", input={})
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.tell("values", {"steps": ["half"]})
    await finish_from_outside(api.database, attempt.run_id, Outcome(Reason.CANCELLED, "enough"))
    assert await api.sdk.runs.join(thread_id, run["run_id"]) == {"steps": ["first"]}


async def test_wait_raises_the_graphs_error_and_hides_the_traceback(api: Api) -> None:
    waiting = asyncio.create_task(api.sdk.runs.wait(None, "steps", input={}))
    attempt = await Attempt.begin(api.database, await accepted(api))
    await attempt.fail("ValueError", "boom")
    with pytest.raises(Exception, match=r"^ValueError: boom$"):
        await waiting
    answer = await api.http.get(f"/threads/{(await get_run(api.database, attempt.run_id)).thread_id}")  # type: ignore[union-attr]
    assert "secret path" not in answer.text


async def test_join_of_a_run_that_streamed_no_values_answers_the_threads(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, stream_mode="updates")
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.pause({"steps": ["a"]}, QUESTION)
    joined = await api.sdk.runs.join(run["thread_id"], run["run_id"])
    assert joined == {"steps": ["a"], "__interrupt__": [{"value": {"ask": "ok?"}, "id": QUESTION.id}]}


async def test_a_paused_thread_says_so_and_a_scalar_resume_is_bound(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    thread_id = run["thread_id"]
    await (await Attempt.begin(api.database, run["run_id"])).pause({"steps": []}, QUESTION)
    thread = await api.sdk.threads.get(thread_id)
    assert thread["status"] == "interrupted"
    assert thread["interrupts"] == {"task-1": [{"id": QUESTION.id, "value": {"ask": "ok?"}}]}
    found = (await api.http.get(f"/threads/{thread_id}/runs/{run['run_id']}")).json()
    assert (found["status"], found["reason"]) == ("success", "WaitingForInput")

    resumed = await api.sdk.runs.create(thread_id, "steps", command={"resume": "yes"})
    bound = await get_run(api.database, UUID(resumed["run_id"]))
    assert bound is not None
    assert [(answer.interrupt_id, answer.value) for answer in bound.spec.answers] == [(QUESTION.id, "yes")]
    with pytest.raises(ConflictError) as caught:  # the second click
        await api.sdk.runs.create(thread_id, "steps", command={"resume": "yes"})
    assert caught.value.code == "resume_conflict"


async def test_strategy_reject_refuses_a_second_run(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    with pytest.raises(ConflictError) as caught:
        await api.sdk.runs.create(run["thread_id"], "steps", input={}, multitask_strategy="reject")
    assert caught.value.code == "thread_busy"


async def test_a_run_needs_its_thread_unless_told_to_create_it(api: Api) -> None:
    missing = "00000000-0000-4000-8000-000000000001"
    with pytest.raises(NotFoundError):
        await api.sdk.runs.create(missing, "steps", input={})
    run = await api.sdk.runs.create(missing, "steps", input={}, if_not_exists="create")
    assert run["thread_id"] == missing
    thread = await api.sdk.threads.get(missing)
    assert thread["metadata"] == {"graph_id": "steps", "assistant_id": run["assistant_id"]}


async def test_an_unknown_graph_is_refused_with_the_names_there_are(api: Api) -> None:
    with pytest.raises(UnprocessableEntityError, match=r"use one of steps, talk\."):
        await api.sdk.runs.create(None, "nope", input={})


async def test_joining_a_finished_stream_tells_what_is_behind_an_event_and_without_one_nothing(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, stream_mode=["values", "updates"])
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.tell("values", {"steps": []})
    await attempt.tell("updates", {"a": None})
    await attempt.succeed()
    ids = (run["thread_id"], run["run_id"])
    everything = await collect(api.sdk.runs.join_stream(*ids, last_event_id="-"))
    assert [part.event for part in everything] == ["metadata", "values", "updates"]
    for position, part in enumerate(everything):
        rest = await collect(api.sdk.runs.join_stream(*ids, last_event_id=part.id))
        assert rest == everything[position + 1 :]
    for start in ("-1", "0", "0-7"):
        assert await collect(api.sdk.runs.join_stream(*ids, last_event_id=start)) == everything
    for now in (None, "", "2-1", "1795962775771-0", "nonsense"):
        assert await collect(api.sdk.runs.join_stream(*ids, last_event_id=now)) == []
    only = await collect(api.sdk.runs.join_stream(*ids, stream_mode="updates", last_event_id="-"))
    assert [part.event for part in only] == ["updates"]


@pytest.mark.parametrize("last", [{}, {"Last-Event-ID": "nonsense"}])
async def test_joining_a_stream_tells_what_comes_from_then_on_also_to_who_was_cut_off_before_that(
    api: Api, last: dict[str, str]
) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, stream_mode="values")
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.tell("values", {"steps": [1]})
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream"
    async with api.http.stream("GET", path, headers=last) as response:
        again = response.headers["location"]
        told = events(response)
        await attempt.tell("values", {"steps": [2]})
        assert (await anext(told)).data == {"steps": [2]}
    await attempt.succeed()
    async with api.http.stream("GET", again) as response:
        assert [one.data async for one in events(response)] == [{"steps": [2]}]


async def test_a_stream_that_was_cut_off_before_its_first_event_begins_with_that(api: Api) -> None:
    async with api.http.stream("POST", "/runs/stream", json={"assistant_id": "steps", "input": {}}) as response:
        again = response.headers["location"]
    attempt = await Attempt.begin(api.database, again.split("/")[4])
    await attempt.succeed()
    async with api.http.stream("GET", again) as response:
        assert [one.event async for one in events(response)] == ["metadata"]


async def test_who_joins_a_run_that_is_not_there_is_told_so_as_by_the_agent_server(api: Api) -> None:
    path = f"/threads/{uuid4()}/runs/{uuid4()}"
    missing = {"error": "HTTPException", "message": "404: Run not found"}
    async with api.http.stream("GET", f"{path}/stream") as response:
        assert [(one.event, one.data) async for one in events(response)] == [("error", missing)]
    assert (await api.http.get(f"{path}/join")).json() == {"__error__": missing}


async def test_a_run_whose_journal_is_gone_still_ends(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    await (await Attempt.begin(api.database, run["run_id"])).succeed({"steps": ["a"]})
    await api.database.execute("DELETE FROM run_events WHERE run_id = %s", (run["run_id"],))
    async with asyncio.timeout(60):
        assert await collect(api.sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-")) == []
    assert await api.sdk.runs.join(run["thread_id"], run["run_id"]) == {"steps": ["a"]}


async def test_a_pending_run_is_cancelled_at_once_and_only_once(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    ids = (run["thread_id"], run["run_id"])
    await api.sdk.runs.cancel(*ids, wait=True)
    assert (await api.sdk.runs.get(*ids))["status"] == "interrupted"
    assert [r["run_id"] for r in await api.sdk.runs.list(run["thread_id"], status="interrupted")] == [run["run_id"]]
    with pytest.raises(NotFoundError, match="No runs found to cancel") as caught:
        await api.sdk.runs.cancel(*ids)
    assert caught.value.code == "run_not_found"
    check_problem(await api.http.delete(f"/runs/{run['run_id']}"), 409, "run_finished")


async def test_cancelling_a_running_run_twice_is_accepted_twice_and_it_ends(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    attempt = await Attempt.begin(api.database, run["run_id"])
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel"
    assert [(await api.http.post(path)).status_code for _ in range(2)] == [202, 202]
    assert (await api.http.delete(f"/runs/{run['run_id']}")).status_code == 202
    await attempt.succeed()  # the cancel came first
    found = await api.http.get(path.removesuffix("/cancel"))
    assert (found.json()["status"], found.json()["reason"]) == ("interrupted", "Cancelled")


async def test_the_answer_to_a_start_is_the_same_when_a_runner_was_quicker(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def claimed_at_once(_: LocalDispatcher, new: NewRun) -> None:
        await Attempt.begin(api.database, str(new.run_id))

    monkeypatch.setattr(LocalDispatcher, "created", claimed_at_once)
    alone = await api.sdk.runs.create(None, "steps", input={})
    together = await api.sdk.runs.create_batch([{"assistant_id": "steps", "input": {}}] * 2)
    for run in (alone, *together):
        assert (run["status"], run["attempt"], run["started_at"]) == ("pending", 0, None)
        assert run["updated_at"] == run["created_at"]
        now = await api.sdk.runs.get(run["thread_id"], run["run_id"])
        assert (now["status"], now["attempt"]) == ("running", 1)


@pytest.mark.parametrize("on_disconnect", ["continue", "cancel"])
async def test_a_client_that_leaves_cancels_only_if_it_asked_for_that(api: Api, on_disconnect: str) -> None:
    body = {"assistant_id": "steps", "input": {}, "on_disconnect": on_disconnect}
    async with api.http.stream("POST", "/runs/stream", json=body) as response:
        run_id = UUID(response.headers["content-location"].rsplit("/", 1)[1])
        await Attempt.begin(api.database, run_id)
        await anext(response.aiter_bytes())
    await until(lambda: open_streams(api) == 0)  # the server has noticed
    if on_disconnect == "continue":
        assert not await cancel_requested(api, run_id)
        return
    await eventually(lambda: cancel_requested(api, run_id))


@pytest.mark.parametrize("state", ["pending", "running", "finished"])
async def test_a_run_is_deleted_whatever_it_does(api: Api, state: str) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    ids = (run["thread_id"], run["run_id"])
    if state != "pending":
        attempt = await Attempt.begin(api.database, run["run_id"])
        if state == "finished":
            await attempt.succeed()
    await api.sdk.runs.delete(*ids)
    with pytest.raises(NotFoundError):
        await api.sdk.runs.get(*ids)
    if state == "running":
        with pytest.raises((StaleAttempt, RunNotFound)):
            await attempt.succeed()
    assert (await api.sdk.threads.get(run["thread_id"]))["status"] == "idle"


@pytest.mark.parametrize("state", ["delayed", "pending", "running", "waiting"])
async def test_a_thread_goes_with_its_unfinished_run_and_nobody_writes_to_it_any_more(api: Api, state: str) -> None:
    later = {"after_seconds": 3600} if state == "delayed" else {}
    run = await api.sdk.runs.create(None, "steps", input={}, **later)
    waits = asyncio.create_task(api.sdk.runs.join(run["thread_id"], run["run_id"]))
    if state in ("running", "waiting"):
        attempt = await Attempt.begin(api.database, run["run_id"])
        if state == "waiting":
            await attempt.pause({"steps": []}, QUESTION)
        else:
            behind = await api.sdk.runs.create(run["thread_id"], "steps", input={})
    await api.sdk.threads.delete(run["thread_id"])
    left = await api.database.fetch_all("SELECT run_id FROM runs WHERE thread_id = %s", (UUID(run["thread_id"]),))
    assert left == []
    told = await waits
    if state != "waiting":
        assert told == {"__error__": {"error": "HTTPException", "message": "404: Run not found"}}
    with pytest.raises(NotFoundError):
        await api.sdk.threads.get(run["thread_id"])
    if state == "running":
        with pytest.raises((StaleAttempt, RunNotFound)):
            await attempt.succeed()
        with pytest.raises(psycopg.Error) as refused:
            await attempt.tell("values", {})
        assert is_stale(refused.value)
        assert isinstance(await claim(api.database, Claim(UUID(behind["run_id"]), 1, uuid4(), "late")), NotFound)


async def test_a_run_is_not_found_under_another_thread(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    other = await api.sdk.threads.create()
    with pytest.raises(NotFoundError):
        await api.sdk.runs.get(other["thread_id"], run["run_id"])


async def test_runs_are_listed_newest_first(api: Api) -> None:
    thread = await api.sdk.threads.create()
    made = [(await api.sdk.runs.create(thread["thread_id"], "steps", input={}))["run_id"] for _ in range(3)]
    listed = await api.sdk.runs.list(thread["thread_id"], limit=2)
    assert [run["run_id"] for run in listed] == made[:0:-1]
    assert listed[0]["metadata"]["graph_id"] == "steps"
