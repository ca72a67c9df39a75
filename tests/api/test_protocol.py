"""The event protocol over HTTP: commands, and the streams of threads whose journals the tests write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from relayrun_api.event_protocol import feed as protocol_feed
from relayrun_api.event_protocol.run_state import PROTOCOL_MODES
from relayrun_api.event_protocol.seq import LARGEST_SEQ, before_run
from relayrun_api.settings import ApiSettings
from relayrun_api.streaming import follow as following
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.db.runs import get_run
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, as_user, caller
from tests.api.conftest import Api, open_streams, opened, serving
from tests.api.play import Attempt, ai
from tests.api.reading import beside, until_told
from tests.api.test_refusals import check_problem
from tests.support.postgres import fresh_database
from tests.support.waiting import until

QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")
ASKS = {"__interrupt__": [{"id": QUESTION.id, "value": "ok?"}]}
TASK = {"langgraph_node": "model", "langgraph_checkpoint_ns": "model:t1"}
START = {"assistant_id": "steps", "input": {}}
ALL = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]

Told = dict[str, Any]


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with fresh_database(postgres) as url, opened(ApiSettings(database_url=url, **HS256)) as api:
        yield api


def new_thread() -> str:
    return str(uuid4())


async def sent(http: httpx.AsyncClient, thread_id: str, method: str, params: Any = None) -> httpx.Response:
    """The answer to a command."""
    body = {"id": 7, "method": method, **({} if params is None else {"params": params})}
    return await http.post(f"/threads/{thread_id}/commands", json=body)


async def done(api: Api, thread_id: str, method: str, params: Any = None) -> Any:
    """The result of a command that succeeds."""
    response = await sent(api.http, thread_id, method, params)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["type"], answer["id"]) == ("success", 7), answer
    return answer["result"]


async def refused(api: Api, thread_id: str, method: str, params: Any = None) -> str:
    """The code of the refusal of a command."""
    response = await sent(api.http, thread_id, method, params)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["type"], answer["id"], answer["message"][-1]) == ("error", 7, "."), answer
    code: str = answer["error"]
    return code


async def started(api: Api, thread_id: str, **params: Any) -> str:
    """A run that a command has started."""
    run_id: str = (await done(api, thread_id, "run.start", {**START, **params}))["run_id"]
    return run_id


async def ran(api: Api, thread_id: str, number: int) -> str:
    """A run from its start to its end, that tells one custom event."""
    run_id = await started(api, thread_id)
    attempt = await Attempt.begin(api.database, run_id)
    await attempt.tell("custom", {"number": number})
    await attempt.succeed()
    return run_id


async def paused(api: Api, thread_id: str, *questions: PendingInterrupt) -> str:
    run_id = await started(api, thread_id)
    attempt = await Attempt.begin(api.database, run_id)
    await attempt.tell("updates", ASKS)
    await attempt.pause({}, *questions or (QUESTION,))
    return run_id


async def frames(response: httpx.Response, *, signs: bool = False) -> AsyncIterator[Told]:
    """What a stream tells, its frames checked; with `signs`, also `{}` for a sign of life."""
    frame: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            frame[name] = value.strip()
        elif "data" in frame:
            told = json.loads(frame["data"])
            assert (frame["event"], frame["id"]) == (told["method"], str(told["seq"]))
            yield told
            frame = {}
        else:
            if signs:
                yield {}
            frame = {}


@asynccontextmanager
async def reading(
    api: Api, thread_id: str, *channels: str, signs: bool = False, **body: Any
) -> AsyncIterator[list[Told]]:
    """What a subscriber is told, while it grows. The subscriber is there when the block begins."""
    told: list[Told] = []

    async def read() -> None:
        request = {"channels": channels or ALL, **body}
        async with api.http.stream("POST", f"/threads/{thread_id}/stream/events", json=request) as response:
            assert response.status_code == 200
            async for one in frames(response, signs=signs):
                told.append(one)  # noqa: PERF401 - others look at it while it grows

    async with beside(api, read()):
        yield told


def phases(told: list[Told]) -> list[str]:
    """What happened, in a word each."""
    return [
        data["event"] if isinstance(data := one["params"]["data"], dict) and "event" in data else one["method"]
        for one in told
    ]


async def everything(api: Api, thread_id: str, count: int, base: str = "", **more: Any) -> list[Told]:
    """The first `count` events that there are, by GET."""
    before = open_streams(api)
    params = {"channels": ",".join(ALL), **more.pop("params", {})}
    path = f"{base}/threads/{thread_id}/stream/events"
    async with asyncio.timeout(60), api.http.stream("GET", path, params=params, **more) as response:
        assert response.status_code == 200
        found = []
        async for one in frames(response):
            found.append(one)
            if len(found) == count:
                break
    await until(lambda: open_streams(api) == before)
    return found


async def all_of(told: AsyncIterator[Told]) -> list[Told]:
    return [one async for one in told]


async def test_run_start_makes_the_thread_and_a_run_that_tells_all_channels(shared: Api) -> None:
    thread_id = new_thread()
    response = await sent(shared.http, thread_id, "run.start", {**START, "metadata": {"a": 1}})
    answer = response.json()
    assert answer == {
        "type": "success",
        "id": 7,
        "result": {"run_id": answer["result"]["run_id"]},
        "meta": {"applied_through_seq": before_run(1)},
    }
    assert response.headers["content-location"] == f"/threads/{thread_id}/runs/{answer['result']['run_id']}"
    run = await get_run(shared.database, UUID(answer["result"]["run_id"]))
    assert run is not None
    assert (tuple(run.spec.stream_modes), run.spec.stream_subgraphs) == (PROTOCOL_MODES, True)
    shown = await shared.sdk.runs.get(thread_id, answer["result"]["run_id"])
    assert (shown["metadata"] or {})["a"] == 1


async def test_a_stream_tells_the_run_that_is_there_and_those_to_come(shared: Api) -> None:
    thread_id = new_thread()
    await ran(shared, thread_id, 1)
    async with reading(shared, thread_id) as told:
        first, second = await ran(shared, thread_id, 2), await started(shared, thread_id)
        await until_told(told, 6)
        attempt = await Attempt.begin(shared.database, second)
        await until_told(told, 7)
        await attempt.fail("ValueError", "boom")
        events = await until_told(told, 8)
    assert phases(events) == [*["running", "custom", "completed"] * 2, "running", "failed"]
    assert events[3]["event_id"] == f"synth:{first}:lc||running"
    assert events[7]["params"]["data"] == {"event": "failed", "graph_name": "steps", "error": "boom"}
    assert {one["type"] for one in events} == {"event"}
    seqs, ids = [one["seq"] for one in events], [one["event_id"] for one in events]
    assert seqs == sorted(set(seqs))
    assert len(set(ids)) == len(ids)
    assert all(one["params"]["namespace"] == [] and one["params"]["timestamp"] > 1_700_000_000_000 for one in events)


async def test_the_streams_head(shared: Api) -> None:
    thread_id = new_thread()
    path = f"/threads/{thread_id}/stream/events"
    async with shared.http.stream("POST", path, json={"channels": ["values"]}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-location"] == path
    await until(lambda: open_streams(shared) == 0)  # as others count them


async def test_who_comes_back_misses_and_repeats_nothing_wherever_it_was_cut(api: Api, settings: ApiSettings) -> None:
    thread_id = new_thread()
    run_id = await started(api, thread_id)
    attempt = await Attempt.begin(api.database, run_id)
    await attempt.tell("tasks", {"id": "t1", "name": "model", "input": {}, "metadata": {}})
    await attempt.tell("tasks|model:t1", {"id": "t2", "name": "inner", "input": {}, "metadata": {}})
    await attempt.tell("messages", [ai("hal", "m1", chunk=True), TASK])
    await attempt.tell("tools", {"event": "tool-started", "tool_call_id": "c1", "tool_name": "t", "input": {}})
    again = await Attempt.begin(api.database, run_id, 2)
    await again.tell("messages", [ai("half", "m1"), TASK])
    await again.tell("tasks", {"id": "t1", "name": "model", "error": None, "interrupts": [], "result": {}})
    await again.succeed()
    await ran(api, thread_id, 2)
    count = 22
    whole = await everything(api, thread_id, count, params={"since": "0"})
    assert phases(whole) == [
        *("running", "tasks", "tasks", "started", "message-start", "content-block-start", "content-block-delta"),
        *("tool-started", "tool-error", "error", "running"),
        *("message-start", "content-block-start", "content-block-delta", "content-block-finish", "message-finish"),
        *("tasks", "completed", "completed", "running", "custom", "completed"),
    ]
    async with serving(settings) as (_, _, elsewhere):
        for index, one in enumerate(whole[:-1]):
            rest, seq = count - index - 1, str(one["seq"])
            params, headers = {"since": seq}, {"Last-Event-ID": seq}
            assert await everything(api, thread_id, rest, elsewhere, params=params) == whole[index + 1 :]
            assert await everything(api, thread_id, rest, headers=headers) == whole[index + 1 :]


async def test_without_a_place_a_stream_begins_with_the_turn_that_is_under_way(shared: Api) -> None:
    thread_id = new_thread()
    await ran(shared, thread_id, 1)
    asking = await paused(shared, thread_id)
    result = await done(shared, thread_id, "input.respond", {"interrupt_id": QUESTION.id, "response": "yes"})
    assert result == {}
    events = await everything(shared, thread_id, 3)
    assert phases(events) == ["running", "input.requested", "interrupted"]
    assert events[0]["event_id"] == f"synth:{asking}:lc||running"
    # A queue: the turn of the run that is under way, not of the newest.
    queued = await started(shared, thread_id)
    assert (await everything(shared, thread_id, 1))[0] == events[0]
    answer = (await shared.sdk.runs.list(thread_id))[1]["run_id"]
    await (await Attempt.begin(shared.database, answer)).succeed()
    async with reading(shared, thread_id, "lifecycle") as told:
        await Attempt.begin(shared.database, queued)
        assert (await until_told(told, 1))[0]["event_id"] == f"synth:{queued}:lc||running"


async def test_a_question_is_answered_and_the_answer_is_told(shared: Api) -> None:
    thread_id = new_thread()
    await paused(shared, thread_id)
    async with reading(shared, thread_id) as told:
        asked = (await until_told(told, 3))[1]
        assert asked["params"]["data"] == {"interrupt_id": QUESTION.id, "payload": "ok?", "value": "ok?"}
        answer = {"interrupt_id": QUESTION.id, "response": {"yes": 1}, "namespace": ["x"]}
        await done(shared, thread_id, "input.respond", {"responses": [answer]})
        run = (await shared.sdk.runs.list(thread_id))[0]
        await (await Attempt.begin(shared.database, run["run_id"])).succeed()
        events = await until_told(told, 6)
    assert phases(events[3:]) == ["input.answered", "running", "completed"]
    assert events[3]["params"]["data"] == {"interrupt_ids": [QUESTION.id]}
    stored = await get_run(shared.database, UUID(run["run_id"]))
    assert stored is not None
    assert [(entry.interrupt_id, entry.value) for entry in stored.spec.answers] == [(QUESTION.id, {"yes": 1})]


async def test_new_input_answers_the_one_question_there_is(shared: Api) -> None:
    thread_id = new_thread()
    await paused(shared, thread_id)
    stored = await get_run(shared.database, UUID(await started(shared, thread_id, input="yes")))
    assert stored is not None
    assert [entry.value for entry in stored.spec.answers] == ["yes"]
    several = new_thread()
    await paused(shared, several, QUESTION, PendingInterrupt("b" * 32, "and?", "task-2"))
    assert await refused(shared, several, "run.start", {**START, "input": "yes"}) == "invalid_argument"


async def test_answers_to_what_nobody_asks_are_refused(shared: Api) -> None:
    thread_id = new_thread()
    answer = {"interrupt_id": QUESTION.id, "response": 1}
    check_problem(await sent(shared.http, thread_id, "input.respond", answer), 404, "thread_not_found")
    await ran(shared, thread_id, 1)
    assert await refused(shared, thread_id, "input.respond", answer) == "no_such_run"
    await paused(shared, thread_id)
    assert await refused(shared, thread_id, "input.respond", {**answer, "interrupt_id": "b"}) == "no_such_interrupt"
    await done(shared, thread_id, "input.respond", answer)
    assert await refused(shared, thread_id, "input.respond", answer) in ("no_such_run", "no_such_interrupt")


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("run.stop", {}, "unknown_command"),
        ("input.inject", {}, "not_supported"),
        ("subscription.subscribe", {"channels": ["values"]}, "not_supported"),
        ("subscription.unsubscribe", {}, "not_supported"),
        ("subscription.reconnect", {}, "not_supported"),
        ("run.start", {}, "invalid_argument"),
        ("run.start", {**START, "assistant_id": "nobody"}, "invalid_argument"),
        ("run.start", {**START, "assistant_id": 5}, "invalid_argument"),
        ("run.start", {**START, "config": []}, "invalid_argument"),
        ("run.start", {**START, "multitask_strategy": "dance"}, "invalid_argument"),
        ("input.respond", {}, "invalid_argument"),
        ("input.respond", {"responses": []}, "invalid_argument"),
        ("input.respond", {"responses": [{}]}, "invalid_argument"),
        ("agent.getTree", {"run_id": "not one"}, "no_such_run"),
        ("agent.getTree", {"run_id": str(uuid4())}, "no_such_run"),
        ("state.get", {"namespace": "x"}, "invalid_argument"),
        ("state.listCheckpoints", {"limit": 0}, "invalid_argument"),
        ("state.fork", {}, "invalid_argument"),
    ],
)
async def test_commands_that_are_not_carried_out(shared: Api, method: str, params: Any, code: str) -> None:
    thread_id = (await shared.sdk.threads.create())["thread_id"]
    assert await refused(shared, thread_id, method, params) == code
    assert await shared.sdk.runs.list(thread_id) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"id": "7", "method": "run.start"},
        {"id": -1, "method": "x"},
        {"id": 1},
        {"id": 1, "method": "x", "params": 5},
    ],
)
async def test_what_is_no_command_is_told_so(shared: Api, body: Any) -> None:
    check_problem(await shared.http.post(f"/threads/{new_thread()}/commands", json=body), 422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"channels": []},
        {"channels": ["gossip"]},
        {"channels": ["custom:"]},
        {"channels": ["values"], "since": -1},
        {"channels": ["values"], "since": LARGEST_SEQ + 1},
        {"channels": ["values"], "since": "x"},
        {"channels": ["values"], "depth": -1},
        {"channels": ["values"], "namespaces": ["x"]},
        {"channels": ["values"], "namespaces": [["x"] * 65]},
        {"channels": ["values"] * 101},
    ],
)
async def test_subscriptions_to_what_there_is_not_are_refused(shared: Api, body: Any) -> None:
    path = f"/threads/{new_thread()}/stream/events"
    check_problem(await shared.http.post(path, json=body), 422, "invalid_request")
    if "namespaces" not in body:
        check_problem(await shared.http.get(path, params=body), 422, "invalid_request")


async def test_paths_of_subgraphs_are_bounded_in_a_query_too(shared: Api) -> None:
    query = {"channels": "values", "namespaces": "|".join("x" * 65)}
    response = await shared.http.get(f"/threads/{new_thread()}/stream/events", params=query)
    check_problem(response, 422, "invalid_request")


@pytest.mark.parametrize("place", ["x", "-1", "1.5", "9" * 400, "٣"])
async def test_a_place_that_is_none_is_refused(shared: Api, place: str) -> None:
    path = f"/threads/{new_thread()}/stream/events?channels=values"
    response = await shared.http.get(path, headers={b"Last-Event-ID": place.encode()})
    check_problem(response, 422, "invalid_request")


async def test_a_stream_waits_for_a_thread_that_is_not_there_yet(shared: Api) -> None:
    thread_id = new_thread()
    async with reading(shared, thread_id, "lifecycle") as told:
        await ran(shared, thread_id, 1)
        assert phases(await until_told(told, 2)) == ["running", "completed"]


async def test_a_run_that_no_runner_had_begins_and_ends_all_the_same(shared: Api) -> None:
    thread_id = new_thread()
    first, second = await started(shared, thread_id), await started(shared, thread_id)
    await shared.sdk.runs.cancel(thread_id, second)
    attempt = await Attempt.begin(shared.database, first)
    async with reading(shared, thread_id, "lifecycle") as told:
        await until_told(told, 1)  # or it would begin at the second run, which has ended
        await attempt.succeed()
        events = await until_told(told, 4)
    assert phases(events) == ["running", "completed", "running", "interrupted"]
    assert events[2]["event_id"] == f"synth:{second}:lc||running"


async def test_subscriptions_are_told_what_they_are_for(shared: Api) -> None:
    thread_id = new_thread()
    attempt = await Attempt.begin(shared.database, await started(shared, thread_id))
    for at in ("", "|inner:1", "|inner:1|deep:2", "|other:3"):
        await attempt.tell(f"custom{at}", {"name": "progress", "at": at})
    await attempt.succeed()
    asked: list[tuple[dict[str, Any], list[str]]] = [
        ({"namespaces": [["inner"]]}, ["|inner:1", "|inner:1|deep:2"]),
        ({"namespaces": [["inner"]], "depth": 0}, ["|inner:1"]),
        ({"namespaces": [[]], "depth": 1}, ["", "|inner:1", "|other:3"]),
    ]
    for body, expected in asked:
        async with reading(shared, thread_id, "custom:progress", **body) as told:
            events = await until_told(told, len(expected))
        assert [one["params"]["data"]["at"] for one in events] == expected
        query = {**body, "namespaces": ["|".join(path) for path in body["namespaces"]], "channels": "custom"}
        found = await everything(shared, thread_id, len(expected), params=query)
        assert [one["params"]["data"]["at"] for one in found] == expected


async def test_streams_give_signs_of_life_before_and_between_runs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (protocol_feed, following):
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    thread_id = new_thread()
    async with reading(api, thread_id, "lifecycle", signs=True) as told:
        assert await until_told(told, 2) == [{}, {}]
        await Attempt.begin(api.database, await started(api, thread_id))
        await until(lambda: any(told))
        running = len(told)
        assert phases([one for one in await until_told(told, running + 2) if one]) == ["running"]


async def test_a_stream_is_cut_when_the_api_goes(settings: ApiSettings) -> None:
    async with opened(settings) as api:
        thread_id = new_thread()
        await Attempt.begin(api.database, await started(api, thread_id))
        path = f"/threads/{thread_id}/stream/events"
        body = {"channels": ["lifecycle"]}
        async with api.http.stream("POST", path, json=body) as response:
            told = frames(response)
            assert phases([await anext(told)]) == ["running"]
            api.server.should_exit = True
            # A clean end would be the run's, to Python's client.
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(told)


async def test_a_stream_is_cut_when_its_thread_is_deleted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_feed, "HEARTBEAT_SECONDS", 0.05)
    thread_id = new_thread()
    await ran(api, thread_id, 1)
    body = {"channels": ["lifecycle"]}
    async with api.http.stream("POST", f"/threads/{thread_id}/stream/events", json=body) as response:
        told = frames(response)
        assert phases([await anext(told), await anext(told)]) == ["running", "completed"]
        await api.sdk.threads.delete(thread_id)
        with pytest.raises(httpx.RemoteProtocolError):
            await all_of(told)


async def test_a_queue_of_runs_may_be_refused(shared: Api) -> None:
    thread_id = new_thread()
    await started(shared, thread_id)
    for spelling in ("multitask_strategy", "multitaskStrategy"):
        busy = {**START, spelling: "reject"}
        assert await refused(shared, thread_id, "run.start", busy) == "unknown_error"
    await started(shared, thread_id)


async def test_the_tree_of_a_run(shared: Api) -> None:
    thread_id = new_thread()
    run_id = await started(shared, thread_id)
    root: dict[str, Any] = {"namespace": [], "status": "started", "graph_name": "steps"}
    assert await done(shared, thread_id, "agent.getTree") == {"tree": root}
    attempt = await Attempt.begin(shared.database, run_id)
    await attempt.tell("tasks", {"id": "t1", "name": "inner", "input": {}, "metadata": {}})
    for at, task in (("|inner:t1", "t2"), ("|inner:t1|deep:t2", "t3")):
        await attempt.tell(f"tasks{at}", {"id": task, "name": "deep", "input": {}, "metadata": {}})
    await attempt.tell("tasks|inner:t1", {"id": "t2", "name": "deep", "error": None, "interrupts": [], "result": {}})
    deep = {"namespace": ["inner:t1", "deep:t2"], "status": "completed", "graph_name": "deep"}
    inner = {"namespace": ["inner:t1"], "status": "started", "graph_name": "inner", "children": [deep]}
    assert await done(shared, thread_id, "agent.getTree", {"run_id": run_id}) == {
        "tree": {**root, "status": "running", "children": [inner]}
    }
    other = new_thread()
    await started(shared, other)
    assert await refused(shared, other, "agent.getTree", {"run_id": run_id}) == "no_such_run"


async def test_starts_by_command_count_and_are_refused_as_elsewhere(database_url: str) -> None:
    settings = ApiSettings(database_url=database_url, rate_limit=1, **HS256)
    async with opened(settings) as api, caller(api, as_user("alice")) as alice:
        thread_id = new_thread()
        first = await sent(alice, thread_id, "run.start", START)
        assert (first.status_code, first.headers["ratelimit"][:10]) == (200, '"runs";r=0')
        second = await sent(alice, thread_id, "run.start", START)
        check_problem(second, 429, "rate_limited")
        assert int(second.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("run.start", START),
        ("input.respond", {"interrupt_id": QUESTION.id, "response": "yes"}),
        ("agent.getTree", {}),
        ("state.get", {}),
        ("state.listCheckpoints", {}),
        ("state.fork", {"checkpoint_id": "c"}),
    ],
)
async def test_commands_reach_no_thread_of_somebody_else(guarded: Api, method: str, params: Any) -> None:
    theirs, own = new_thread(), new_thread()
    async with caller(guarded, as_user("alice")) as alice, caller(guarded, as_user("bob")) as bob:
        run_id = (await sent(alice, theirs, "run.start", START)).json()["result"]["run_id"]
        await (await Attempt.begin(guarded.database, run_id)).pause({}, QUESTION)
        check_problem(await sent(bob, theirs, method, params), 404, "thread_not_found")
        await sent(bob, own, "run.start", START)
        tree = await sent(bob, own, "agent.getTree", {"run_id": run_id})
        assert tree.json()["error"] == "no_such_run"
        assert len((await alice.get(f"/threads/{theirs}/runs")).json()) == 1
