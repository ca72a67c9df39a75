"""What is odd in a request: what is taken all the same, and how the rest is refused; and streams byte by byte."""

from typing import Any
from uuid import uuid4

from tests.compat.recording import Exchange, Recorder

STATELESS: dict[str, Any] = {"assistant_id": "plain", "input": {"topic": "x"}}
RUN = {**STATELESS, "durability": "sync"}
CRON = {"assistant_id": "plain", "schedule": "0 0 1 1 *", "input": {}}


async def line_ends(server: Recorder) -> None:
    async with server.http.stream("POST", "/runs/stream", json=STATELESS) as answer:
        told = await answer.aread()
    lines = told.count(b"\n")
    ends = {"lines": told.count(b"\r\n") - lines, "events": told.count(b"\r\n\r\n"), "last": told[-4:].decode()}
    server.exchanges.append(Exchange("stream", answer.status_code, {}, ends))


async def words_of_a_run(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}/runs"
    for way in ("", "/wait"):
        for odd in (
            *({name: value} for name in ("on_disconnect", "on_completion") for value in ("x", None)),
            *({"config": {}}, {"metadata": {}}, {"stream_mode": []}),
        ):
            answer = await server.call(f"run{way} {odd}", "POST", path + way, {**RUN, **odd})
            if "run_id" in answer:
                await server.quietly("GET", f"{path}/{answer['run_id']}/join")
        for odd in ({"on_disconnect": "x"}, {"on_completion": "x"}):
            await server.call(f"stateless{way} {odd}", "POST", f"/runs{way}", {**STATELESS, **odd})
    await server.call("no strategy", "POST", "/runs/wait", {**STATELESS, "multitask_strategy": "x"})
    await server.call("a command that says nothing", "POST", "/runs/wait", {**STATELESS, "command": {}})
    later = await server.call("in three years", "POST", path, {**RUN, "after_seconds": 10**8})
    await server.quietly("POST", f"{path}/{later['run_id']}/cancel")


async def actions(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}/runs"
    for action in ("nothing", ""):
        run = (await server.quietly("POST", path, {**RUN, "after_seconds": 300}))["run_id"]
        await server.call(f"action {action!r}", "POST", f"{path}/{run}/cancel?action={action}")
        await server.call(f"run after {action!r}", "GET", f"{path}/{run}")
    run = (await server.quietly("POST", path, {**RUN, "after_seconds": 300}))["run_id"]
    await server.call("of many", "POST", "/runs/cancel?action=nothing", {"thread_id": thread, "run_ids": [run]})
    await server.call("run after it", "GET", f"{path}/{run}")


async def settings_of_an_assistant(server: Recorder) -> None:
    kept = {"configurable": {"x": 1}, "tags": ["z"]}
    made = await server.quietly("POST", "/assistants", {"graph_id": "plain", "config": kept})
    for change in (
        *({"config": {"tags": ["a"]}}, {"config": {}}, {"context": {}}, {"config": {"configurable": {"y": 1}}}),
        *({"context": {"z": 1}}, {"config": {"tags": ["b"]}}, {"context": {}, "config": {"tags": ["c"]}}),
    ):
        await server.call(f"{change}", "PATCH", f"/assistants/{made['assistant_id']}", change)


async def crons(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    for path in ("/runs/crons", f"/threads/{thread}/runs/crons"):
        for odd in (
            {"assistant_id": "nobody"},
            {"assistant_id": str(uuid4())},
            {"schedule": "x"},
            {"timezone": "Mars"},
            {"enabled": "yes"},
            {"stream_mode": "x"},
        ):
            named = odd if "assistant_id" not in odd else {"assistant_id": odd["assistant_id"][:6] == "nobody"}
            await server.call(f"{path[:8]} {named}", "POST", path, {**CRON, **odd})
