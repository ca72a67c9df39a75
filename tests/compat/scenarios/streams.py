"""Streams: every mode of every kind of graph, questions, errors, reconnects."""

import json
from uuid import uuid4

from tests.compat.recording import Recorder

MODES = ("values", "updates", "messages", "messages-tuple", "custom", "debug", "tasks", "checkpoints", "events")


async def each_mode(server: Recorder) -> None:
    for mode in MODES:
        thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
        body = {"assistant_id": "plain", "input": {"topic": "x"}, "stream_mode": mode}
        await server.stream(mode, "POST", f"/threads/{thread}/runs/stream", body)


async def messages(server: Recorder) -> None:
    said = {"messages": [{"role": "user", "content": "count", "id": "m1"}]}
    for mode in ("values", "updates", "messages", "messages-tuple"):
        await server.stream(mode, "POST", "/runs/stream", {"assistant_id": "talk", "input": said, "stream_mode": mode})


async def several_modes(server: Recorder) -> None:
    body = {"assistant_id": "plain", "input": {}, "stream_mode": ["values", "updates", "custom"]}
    await server.stream("stream", "POST", "/runs/stream", body)


async def subgraphs(server: Recorder) -> None:
    for mode in MODES:
        thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
        body = {"assistant_id": "nested", "input": {}, "stream_mode": mode}
        await server.stream(
            f"with, {mode}", "POST", f"/threads/{thread}/runs/stream", {**body, "stream_subgraphs": True}
        )
    await server.stream("without", "POST", f"/threads/{thread}/runs/stream", {**body, "stream_mode": "updates"})


async def a_question(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    ask = {"assistant_id": "ask", "stream_mode": ["values", "updates"]}
    await server.stream("ask", "POST", f"{path}/runs/stream", {**ask, "input": {"topic": "x"}})
    await server.call("thread", "GET", path)
    await server.call("state", "GET", f"{path}/state")
    await server.call("runs", "GET", f"{path}/runs")
    await server.stream("answer", "POST", f"{path}/runs/stream", {**ask, "command": {"resume": "yes"}})
    await server.call("thread answered", "GET", path)
    await server.call("ask again, waiting", "POST", f"{path}/runs/wait", {"assistant_id": "ask", "input": {}})
    await server.call(
        "update and answer",
        "POST",
        f"{path}/runs/wait",
        {"assistant_id": "ask", "command": {"resume": "no", "update": {"topic": "z"}}},
    )


async def a_breakpoint(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    body = {"assistant_id": "plain", "input": {}, "interrupt_before": ["second"], "stream_mode": "updates"}
    await server.stream("before", "POST", f"{path}/runs/stream", body)
    await server.call("thread", "GET", path)
    await server.call("state", "GET", f"{path}/state")
    on = {"assistant_id": "plain", "input": None, "stream_mode": "updates"}
    await server.stream("on", "POST", f"{path}/runs/stream", on)


async def an_error(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    body = {"assistant_id": "fails", "input": {}, "stream_mode": "updates"}
    await server.stream("stream", "POST", f"{path}/runs/stream", body)
    await server.call("thread", "GET", path)
    await server.call("state", "GET", f"{path}/state")
    await server.call("runs", "GET", f"{path}/runs")


async def joined(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    body = {"assistant_id": "plain", "input": {}, "stream_mode": ["updates", "values"], "stream_resumable": True}
    run = await server.quietly("POST", f"/threads/{thread}/runs", body)
    path = f"/threads/{thread}/runs/{run['run_id']}"
    await server.quietly("GET", f"{path}/join")
    for start in ("-1", "-", "0", "0-0"):
        await server.stream(f"from {start}", "GET", f"{path}/stream", headers={"Last-Event-ID": start})
    for mode in ("updates", "values", "metadata", "nonsense", ""):
        await server.stream(f"{mode}", "GET", f"{path}/stream?stream_mode={mode}", headers={"Last-Event-ID": "-"})
    for now in ("", "nonsense", "99999999999999-0"):
        await server.stream(f"from {now!r}", "GET", f"{path}/stream", headers={"Last-Event-ID": now})
    await server.stream("afterwards", "GET", f"{path}/stream")
    for missing in (f"/threads/{thread}/runs/{uuid4()}", f"/threads/{uuid4()}/runs/{run['run_id']}"):
        await server.stream("a stream that is not there", "GET", f"{missing}/stream")
        await server.call("a run that is not there", "GET", f"{missing}/join")


async def joined_meanwhile(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    body = {"assistant_id": "slow", "input": {}, "stream_mode": ["updates", "values"], "stream_resumable": True}
    run = await server.quietly("POST", f"/threads/{thread}/runs", body)
    path = f"/threads/{thread}/runs/{run['run_id']}"
    async with server.http.stream("GET", f"{path}/stream", headers={"Last-Event-ID": "-"}) as told:
        async for line in told.aiter_lines():
            if line.startswith("data: ") and json.loads(line.removeprefix("data: ")).get("done"):
                break  # the last that it tells until it is cancelled

    async def cancel() -> None:
        await server.quietly("POST", f"{path}/cancel?wait=1")

    await server.stream("from now", "GET", f"{path}/stream", meanwhile=cancel)
    await server.stream("from the start", "GET", f"{path}/stream", headers={"Last-Event-ID": "-"})


async def a_thread(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    body = {"assistant_id": "plain", "input": {}, "stream_mode": ["updates", "values"], "stream_resumable": True}
    await server.quietly("POST", f"/threads/{thread}/runs/wait", body)
    path = f"/threads/{thread}/stream"
    for start in ("-", "0", "0-0"):
        told = await server.stream(f"from {start}", "GET", path, headers={"Last-Event-ID": start}, until="run_done")
        assert told[-1][0] == "metadata"
    modes, start = f"{path}?stream_modes=lifecycle", {"Last-Event-ID": "-"}
    await server.stream("starts and ends", "GET", modes, headers=start, until="run_done")
    for wrong in ("nonsense", "-1", "1-x"):
        await server.call(f"behind {wrong}", "GET", path, headers={"Last-Event-ID": wrong})
    await server.call("an unknown mode", "GET", f"{path}?stream_modes=nonsense")


async def a_fork(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    run = {"assistant_id": "plain", "input": {"topic": "x"}, "durability": "sync"}
    await server.quietly("POST", f"{path}/runs/wait", run)
    history = await server.quietly("POST", f"{path}/history", {"limit": 10})
    start = next(state for state in history if state["next"] == ["second"])
    body = {"assistant_id": "plain", "input": None, "stream_mode": "values"}
    at = {"checkpoint": {"checkpoint_id": start["checkpoint"]["checkpoint_id"]}}
    await server.stream("replay", "POST", f"{path}/runs/stream", {**body, **at})
    await server.stream("fork", "POST", f"{path}/runs/stream", {**body, **at, "input": {"topic": "y"}})
