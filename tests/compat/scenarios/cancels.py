"""Cancels and deletions in every situation of a run, and what they leave of run and thread."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.compat.recording import Recorder

SLOW = {"assistant_id": "slow", "input": {"topic": "x"}, "durability": "sync"}
QUICK = {"assistant_id": "plain", "input": {"topic": "x"}, "durability": "sync"}


async def of_a_running_run(server: Recorder) -> None:
    for action in ("interrupt", "rollback"):
        thread, run = await _running(server)
        path = f"/threads/{thread}/runs/{run}"
        await server.call(action, "POST", f"{path}/cancel?wait=true&action={action}")
        await _left(server, thread, run, f"after {action}")
        await server.call(f"{action} again", "POST", f"{path}/cancel?action={action}")
        await server.call(f"join after {action}", "GET", f"{path}/join")
        await server.call(f"runs after {action}", "GET", f"/threads/{thread}/runs")
        await server.call(f"delete after {action}", "DELETE", path)


async def of_a_pending_run(server: Recorder) -> None:
    for action in ("interrupt", "rollback"):
        thread, first = await _running(server)
        run = (await server.quietly("POST", f"/threads/{thread}/runs", SLOW))["run_id"]
        waits = asyncio.create_task(server.quietly("GET", f"/threads/{thread}/runs/{run}/join"))
        await server.call(action, "POST", f"/threads/{thread}/runs/{run}/cancel?action={action}")
        await waits
        await server.call(f"run after {action}", "GET", f"/threads/{thread}/runs/{run}")
        await server.quietly("POST", f"/threads/{thread}/runs/{first}/cancel?wait=true")
        await _left(server, thread, run, f"after {action} and the end of the first")


async def of_a_delayed_run(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    run = (await server.quietly("POST", f"/threads/{thread}/runs", {**SLOW, "after_seconds": 300}))["run_id"]
    await _left(server, thread, run, "waiting for its time")
    await server.call("busy ones", "POST", "/threads/search", {"ids": [thread], "status": "busy"})
    await server.call("cancel", "POST", f"/threads/{thread}/runs/{run}/cancel")
    await _left(server, thread, run, "after the cancel")


async def of_an_ended_run(server: Recorder) -> None:
    for graph in ("ask", "fails", "plain"):
        thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
        await server.quietly("POST", f"/threads/{thread}/runs/wait", {**QUICK, "assistant_id": graph})
        run = (await server.quietly("GET", f"/threads/{thread}/runs"))[0]["run_id"]
        for action in ("interrupt", "rollback"):
            await server.call(f"{graph}, {action}", "POST", f"/threads/{thread}/runs/{run}/cancel?action={action}")
        await _left(server, thread, run, f"after {graph}")


async def of_nothing(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    for place in (thread, uuid4()):
        path = f"/threads/{place}/runs/{uuid4()}"
        named = "its thread" if place == thread else "no thread"
        await server.call(f"cancel, {named}", "POST", f"{path}/cancel")
        await server.call(f"join, {named}", "GET", f"{path}/join")
        await server.call(f"delete, {named}", "DELETE", path)


async def of_many(server: Recorder) -> None:
    thread, run = await _running(server)
    others = [(await server.quietly("POST", f"/threads/{thread}/runs", SLOW))["run_id"] for _ in range(2)]
    path, nobody = "/runs/cancel", str(uuid4())
    await server.call("none of its", "POST", path, {"thread_id": thread, "run_ids": [nobody]})
    await server.call("of another thread", "POST", path, {"thread_id": nobody, "run_ids": [run]})
    await server.call("no ids", "POST", path, {"thread_id": thread})
    await server.call("no thread", "POST", path, {"run_ids": [run]})
    await server.call("no such status", "POST", path, {"status": "success"})
    await server.call("both", "POST", path, {"status": "all", "thread_id": thread})
    await server.call("empty list", "POST", path, {"thread_id": thread, "run_ids": []})
    await server.call("nothing", "POST", path, {})
    await server.call("a wrong thread", "POST", path, {"thread_id": "nope", "run_ids": [run]})
    await server.call("a wrong run", "POST", path, {"thread_id": thread, "run_ids": ["nope"]})
    await server.call("two", "POST", f"{path}?action=rollback", {"thread_id": thread, "run_ids": [*others, nobody]})
    for other in others:
        await _gone(server, f"/threads/{thread}/runs/{other}")
    await server.call("the running one", "POST", path, {"thread_id": thread, "run_ids": [run]})
    await server.quietly("GET", f"/threads/{thread}/runs/{run}/join")
    await _left(server, thread, run, "afterwards")
    await server.call("ended ones", "POST", path, {"thread_id": thread, "run_ids": [run, *others]})


async def by_a_strategy(server: Recorder) -> None:
    for strategy in ("interrupt", "rollback"):
        thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
        path = f"/threads/{thread}/runs"
        quick = {**QUICK, "assistant_id": "lingers"}
        await server.quietly("POST", f"{path}/wait", quick)
        run = (await server.quietly("POST", path, {**quick, "input": {"topic": "long"}}))["run_id"]
        await _first_step(server, thread, "linger")
        await server.call(strategy, "POST", f"{path}/wait", {**quick, "multitask_strategy": strategy})
        await _left(server, thread, run, f"after {strategy}")
        await server.call(f"runs after {strategy}", "GET", path)
    await server.call("join the rolled back", "GET", f"{path}/{run}/join")


async def by_deleting_the_run(server: Recorder) -> None:
    thread, run = await _running(server)
    other = (await server.quietly("POST", f"/threads/{thread}/runs", SLOW))["run_id"]
    await server.call("pending", "DELETE", f"/threads/{thread}/runs/{other}")
    await server.call("running", "DELETE", f"/threads/{thread}/runs/{run}")
    for each in (run, other):
        await _gone(server, f"/threads/{thread}/runs/{each}")
    await server.call("runs", "GET", f"/threads/{thread}/runs")
    await server.call("state", "GET", f"/threads/{thread}/state")
    later = (await server.quietly("POST", f"/threads/{thread}/runs", {**SLOW, "after_seconds": 300}))["run_id"]
    await server.call("delayed", "DELETE", f"/threads/{thread}/runs/{later}")
    await server.call("runs at the end", "GET", f"/threads/{thread}/runs")


async def by_deleting_the_thread(server: Recorder) -> None:
    for what in ("running", "running and pending", "delayed", "waiting"):
        waits: asyncio.Task[Any] | None = None
        if what.startswith("running"):
            thread, run = await _running(server)
            waits = asyncio.create_task(server.call(f"join, {what}", "GET", f"/threads/{thread}/runs/{run}/join"))
        else:
            thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
        path = f"/threads/{thread}"
        if what == "running and pending":
            run = (await server.quietly("POST", f"{path}/runs", SLOW))["run_id"]
        elif what == "delayed":
            run = (await server.quietly("POST", f"{path}/runs", {**SLOW, "after_seconds": 300}))["run_id"]
        elif what == "waiting":
            await server.quietly("POST", f"{path}/runs/wait", {**QUICK, "assistant_id": "ask"})
        await server.quietly("DELETE", path)
        if waits is not None:
            await waits
        await server.call(f"thread, {what}", "GET", path)
        await server.call(f"state, {what}", "GET", f"{path}/state")
        await server.call(f"runs, {what}", "GET", f"{path}/runs")
        await server.call(f"run, {what}", "GET", f"{path}/runs/{run}")
        await server.call(f"delete again, {what}", "DELETE", path)
    thread, run = await _running(server)
    await server.call("delete a running one", "DELETE", f"/threads/{thread}")
    thread, run = await _running(server)
    await server.call("prune a running one", "POST", "/threads/prune", {"thread_ids": [thread]})
    await server.call("pruned", "GET", f"/threads/{thread}")


async def _running(server: Recorder) -> tuple[str, str]:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    run = (await server.quietly("POST", f"/threads/{thread}/runs", SLOW))["run_id"]
    await _first_step(server, thread)
    return thread, run


async def _first_step(server: Recorder, thread: str, second: str = "wait") -> None:
    """Until the graph waits in its second node."""
    async with asyncio.timeout(60):
        while second not in ((await server.quietly("GET", f"/threads/{thread}/state")) or {}).get("next", ()):
            await asyncio.sleep(0.05)


async def _gone(server: Recorder, run: str) -> None:
    async with asyncio.timeout(60):
        while "run_id" in await server.quietly("GET", run):
            await asyncio.sleep(0.05)


async def _left(server: Recorder, thread: str, run: str, label: str) -> None:
    await server.call(f"run {label}", "GET", f"/threads/{thread}/runs/{run}")
    await server.call(f"thread {label}", "GET", f"/threads/{thread}")
    await server.call(f"state {label}", "GET", f"/threads/{thread}/state")
    await server.call(f"history {label}", "POST", f"/threads/{thread}/history", {"limit": 100})
