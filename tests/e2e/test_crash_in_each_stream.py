"""kill -9 in the middle of each call that streams or waits: of the runners that it runs on, and of the API it talks to.

All calls are under way at once, each held behind its first step, so that one kill is in the middle of all of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.e2e.test_dev_crashes import kill_at_once
from tests.e2e.test_protocol import ALL, Follower
from tests.support.crash import settle
from tests.support.gated import Call, Place
from tests.support.reading import Reader
from tests.support.sockets import ends_a_run
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(500)]

PARTS = ("relayrun_runner", "relayrun_api")
DONE = ["first", "held", "last"]
SPOKEN = "one two three four "


@dataclass
class Ending:
    """What became of a call. `values` are None where the call does not tell them."""

    call: Call
    values: Any = None
    journal: bool = False
    told: list[dict[str, Any]] | None = None
    steps: list[str] = field(default_factory=lambda: list(DONE))


Way = Callable[[Call], Awaitable[Ending]]


async def run_stream(call: Call) -> Ending:
    await call.stream("POST", f"{call.thread}/runs/stream", call.body())
    return Ending(call, journal=True)


async def run_wait(call: Call) -> Ending:
    return Ending(call, await call.wait("POST", f"{call.thread}/runs/wait", call.body()))


async def join(call: Call) -> Ending:
    await call.post(f"{call.thread}/runs", call.body())
    return Ending(call, await call.wait("GET", f"{call.path}/join"))


async def join_stream(call: Call) -> Ending:
    await call.post(f"{call.thread}/runs", call.body())
    await call.stream("GET", f"{call.path}/stream")
    return Ending(call, journal=True)


async def stateless_stream(call: Call) -> Ending:
    await call.stream("POST", "/runs/stream", call.body())
    return Ending(call, journal=True)


async def stateless_wait(call: Call) -> Ending:
    return Ending(call, await call.wait("POST", "/runs/wait", call.body()))


async def thread_stream(call: Call) -> Ending:
    await call.post(f"{call.thread}/runs", call.body())
    await call.stream("GET", f"{call.thread}/stream")
    assert [told.data.get("status") for told in call.told if told.event == "metadata"][-1] == "run_done"
    return Ending(call)


async def protocol_events(call: Call) -> Ending:
    params = {"assistant_id": "steps", "input": {"call": call.name}}
    await call.post(f"{call.thread}/commands", {"id": 1, "method": "run.start", "params": params})
    follower = Follower(call.place.dev.url, call.name)
    await follower.read()
    call.connections = follower.connections
    return Ending(call, values_told(follower.told), told=follower.told)


async def protocol_socket(call: Call) -> Ending:
    params = {"assistant_id": "steps", "input": {"call": call.name}}
    url = f"ws{call.place.dev.url.removeprefix('http')}{call.thread}/stream/events"
    told: list[dict[str, Any]] = []
    started = False
    while not any(ends_a_run(one) for one in told):
        since = {"since": told[-1]["seq"]} if told else {}
        try:
            async with connect(url, proxy=None) as socket:
                call.connections += 1
                subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ALL, **since}}
                await socket.send(json.dumps(subscribe))
                if not started:
                    await socket.send(json.dumps({"id": 2, "method": "run.start", "params": params}))
                async for message in socket:
                    one = json.loads(message)
                    started = started or one.get("id") == 2
                    if "method" in one:
                        told.append(one)
                        if ends_a_run(one):
                            break
        except (OSError, ConnectionClosed, InvalidHandshake):
            await asyncio.sleep(0.05)
    return Ending(call, values_told(told), told=told)


async def chat(call: Call) -> Ending:
    await call.stream("POST", "/chat", message_of(call))
    return Ending(call, steps=["first", "held"])


async def invoke(call: Call) -> Ending:
    said = await call.wait("POST", "/invoke", message_of(call), **{"Idempotency-Key": call.name})
    assert (said["status"], said["message"]["content"]) == ("success", SPOKEN)
    return Ending(call, steps=["first", "held"])


async def run_task(call: Call) -> Ending:
    accepted = await call.post("/run-task", message_of(call))
    await call.stream("GET", f"/chat/{accepted['run_id']}")
    return Ending(call, steps=["first", "held"])


async def batch(call: Call) -> Ending:
    """Its one run; that a batch is accepted as a whole is told elsewhere."""
    [run] = await call.post("/runs/batch", [call.body()])
    await call.stream("GET", f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream")
    return Ending(call, journal=True)


async def delayed(call: Call) -> Ending:
    await call.stream("POST", f"{call.thread}/runs/stream", call.body(after_seconds=1))
    return Ending(call, journal=True)


async def cron(call: Call) -> Ending:
    thread = await call.post("/threads", {"thread_id": call.name})
    body = {"assistant_id": "steps", "input": {"call": call.name}, "schedule": "@yearly", "stream_mode": ["updates"]}
    made = await call.post(f"{call.thread}/runs/crons", body)
    due = "UPDATE crons SET next_run_at = now() WHERE cron_id = %s"
    await call.place.database.execute(due, (UUID(made["cron_id"]),))
    await call.post("/runs/crons", {**body, "enabled": False})  # whereupon the API looks what is due
    await until(lambda: "held" in call.place.begun(call.name))
    [run] = await call.get(f"{call.thread}/runs")
    await call.stream("GET", f"/threads/{thread['thread_id']}/runs/{run['run_id']}/stream")
    return Ending(call, journal=True)


async def resume(call: Call) -> Ending:
    asked = await call.wait("POST", f"{call.thread}/runs/wait", call.body())
    assert [question["value"] for question in asked["__interrupt__"]] == ["go on?"]
    await call.stream("POST", f"{call.thread}/runs/stream", call.body(input=None, command={"resume": "yes"}))
    values = {"call": call.name, "done": ["first", "yes", "held", "last"]}
    assert [told.data for told in call.told if told.event == "values"][-1] == values
    return Ending(call, journal=True)


async def webhook(call: Call) -> Ending:
    hooks = call.place.hooks
    values = await call.wait("POST", f"{call.thread}/runs/wait", call.body(webhook=hooks.url))
    sent = lambda: [body for body in hooks.bodies if body["run_id"] in call.path]  # noqa: E731
    await until(lambda: bool(sent()))
    assert [(body["status"], body["values"]["done"]) for body in sent()] == [("success", DONE)]
    return Ending(call, values)


WAYS: tuple[Way, ...] = (
    run_stream,
    run_wait,
    join,
    join_stream,
    stateless_stream,
    stateless_wait,
    thread_stream,
    protocol_events,
    protocol_socket,
    chat,
    invoke,
    run_task,
    batch,
    delayed,
    cron,
    resume,
    webhook,
)
PATIENCE = 120  # seconds
GRAPHS = {"resume": "ask", "chat": "chat", "invoke": "chat", "run_task": "chat"}
Endings = dict[str, dict[str, Ending | BaseException]]


def message_of(call: Call) -> dict[str, Any]:
    return {"message": call.name, "thread_id": call.name, "assistant_id": "chat"}


def values_told(told: list[dict[str, Any]]) -> Any:
    return [one["params"]["data"] for one in told if one["method"] == "values"][-1]


@pytest.fixture(scope="module")
async def endings(place: Place) -> Endings:
    """What became of all calls, for each part that was killed in the middle of them."""
    return {part: await endings_after(place, part) for part in PARTS}


async def endings_after(place: Place, part: str) -> dict[str, Ending | BaseException]:
    calls = [Call(place, f"{way.__name__}-{part}", GRAPHS.get(way.__name__, "steps")) for way in WAYS]
    tasks = [asyncio.create_task(way(call)) for way, call in zip(WAYS, calls, strict=True)]
    try:
        await until_held(place, calls, tasks)
        holders = {int(pid) for call in calls for pid, step in place.log(call.name) if step == "held"}
        killed = holders if part == "relayrun_runner" else {process.pid for process in place.dev.running(part)}
        kill_at_once([psutil.Process(pid) for pid in killed])
        for call in calls:
            (place.folder / f"{call.name}.open").touch()
        _, late = await asyncio.wait(tasks, timeout=PATIENCE)
    finally:
        await settle(*tasks)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert not late, [one for one, task in zip(calls, tasks, strict=True) if task in late]
    return {way.__name__: one for way, one in zip(WAYS, found, strict=True)}


async def until_held(place: Place, calls: list[Call], tasks: list[asyncio.Task[Ending]]) -> None:
    """Until all of them wait at their gates."""
    outside = set(calls)
    async with asyncio.timeout(PATIENCE):
        while outside := {call for call in outside if "held" not in place.begun(call.name)}:
            for task in tasks:
                assert not task.done(), task.result()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("part", PARTS)
async def test_the_call_goes_on_to_its_end(place: Place, endings: Endings, part: str, way: Way) -> None:
    ending = endings[part][way.__name__]
    if isinstance(ending, BaseException):
        raise ending
    call, attempts = ending.call, 2 if part == "relayrun_runner" else 1
    again = ["held"] * (attempts - 1)
    assert place.begun(call.name) == [*ending.steps[:2], *again, *ending.steps[2:]]
    if ending.values is not None:
        assert ending.values == {"call": call.name, "done": DONE}
    if part == "relayrun_runner":
        assert call.connections == (2 if way is resume else 1), "its client has to do nothing"
    elif way is not cron:
        assert call.connections > 1, "it was not cut off: this tests nothing"
    if ending.journal:
        await check_journal(call, attempts)
    if ending.told is not None:
        await check_protocol(call, ending.told, attempts)
    if way in (chat, run_task):
        await check_chat(call, attempts)


async def check_journal(call: Call, attempts: int) -> None:
    """Every event once and in order, as whoever comes later is told."""
    _, _, thread, _, run = call.path.split("/")
    reader = Reader(call.place.dev.url, thread, run, call.told)
    reader.whole()
    # One between may have been meant for the other runner, which is dead as well.
    assert (reader.attempts[0], len(reader.attempts)) == (1, attempts)
    assert reader.steps == (["ask", "held", "last"] if call.graph == "ask" else DONE)
    later = Reader(call.place.dev.url, thread, run)
    assert await later.read() == call.told
    assert (await call.http.get(call.path)).json()["status"] == "success"


async def check_protocol(call: Call, told: list[dict[str, Any]], attempts: int) -> None:
    seqs = [one["seq"] for one in told]
    assert seqs == sorted(set(seqs))
    phases = [one["params"]["data"]["event"] for one in told if one["method"] == "lifecycle"]
    assert phases == [*["running"] * attempts, "completed"]
    updates = [step for one in told if one["method"] == "updates" for step in one["params"]["data"]]
    assert updates == DONE
    later = Follower(call.place.dev.url, call.name)
    await later.read()
    assert later.told == told


async def check_chat(call: Call, attempts: int) -> None:
    kinds = [told.event for told in call.told]
    assert (kinds.count("start"), kinds.count("end"), kinds[-1]) == (1, 1, "end")
    assert call.told[-1].data["status"] == "success"
    lost = [told.data["discard"] for told in call.told if told.event == "attempt"]
    assert len(lost) == attempts - 1
    gone = {message for discard in lost for message in discard}
    kept = [told.data for told in call.told if told.event == "token" and told.data["message_id"] not in gone]
    assert "".join(token["text"] for token in kept) == SPOKEN
    [message] = [told.data["message"] for told in call.told if told.event == "message"]
    assert (message["content"], message["id"]) == (SPOKEN, kept[0]["message_id"])
    ids = [told.id for told in call.told]
    assert len(set(ids)) == len(ids)
    replayed = Call(call.place, f"{call.name} again")
    await replayed.stream("GET", f"/chat/{call.path.split('/')[-1]}")
    assert replayed.told == call.told
