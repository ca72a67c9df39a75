"""Runs: started, listed, joined, cancelled, deleted."""

import asyncio
from uuid import uuid4

from tests.compat.recording import Recorder


async def in_the_background(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}/runs"
    body = {"assistant_id": "plain", "input": {"topic": "x"}, "metadata": {"of": "test"}, "config": {"tags": ["a"]}}
    run = await server.call("create", "POST", path, body)
    await server.call("join", "GET", f"{path}/{run['run_id']}/join")
    await server.call("get", "GET", f"{path}/{run['run_id']}")
    await server.call("list", "GET", path)
    await server.call("list succeeded", "GET", f"{path}?status=success&limit=1")
    await server.call("list failed", "GET", f"{path}?status=error")
    await server.call("cancel finished", "POST", f"{path}/{run['run_id']}/cancel")
    await server.call("delete", "DELETE", f"{path}/{run['run_id']}")
    await server.call("get deleted", "GET", f"{path}/{run['run_id']}")


async def metadata(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {"metadata": {"of_thread": 1, "both": "thread"}}))["thread_id"]
    path = f"/threads/{thread}/runs"
    body = {"assistant_id": "plain", "input": {"topic": "x"}, "metadata": {"of_run": 1, "both": "run"}}
    run = await server.call("create", "POST", path, {**body, "config": {"metadata": {"of_config": 1}}})
    await server.call("join", "GET", f"{path}/{run['run_id']}/join")
    await server.call("get", "GET", f"{path}/{run['run_id']}")
    await server.call("state", "GET", f"/threads/{thread}/state")
    await server.call("thread", "GET", f"/threads/{thread}")


async def waited_for(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}/runs/wait"
    await server.call("values", "POST", path, {"assistant_id": "plain", "input": {"topic": "x"}})
    warm = {"assistant_id": "plain", "input": {}, "context": {"tone": "warm"}}
    await server.call("context", "POST", path, warm)
    cold = {"assistant_id": "plain", "input": {}, "config": {"configurable": {"tone": "cold"}}}
    await server.call("config", "POST", path, cold)
    await server.call("error", "POST", path, {"assistant_id": "fails", "input": {}})
    await server.call("thread after an error", "GET", f"/threads/{thread}")


async def stateless(server: Recorder) -> None:
    await server.call("wait", "POST", "/runs/wait", {"assistant_id": "plain", "input": {"topic": "x"}})
    await server.call("create", "POST", "/runs", {"assistant_id": "plain", "input": {"topic": "x"}})
    body = {"assistant_id": "plain", "input": {}, "stream_mode": "updates"}
    await server.stream("stream", "POST", "/runs/stream", body)
    await server.call("batch", "POST", "/runs/batch", [{"assistant_id": "plain", "input": {}}] * 2)


async def on_a_busy_thread(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}/runs"
    slow, quick = ({"assistant_id": graph, "input": {}} for graph in ("slow", "plain"))
    first = await server.quietly("POST", path, slow)
    await _first_step(server, thread)
    await server.call("reject", "POST", path, {**quick, "multitask_strategy": "reject"})
    waiting = await server.call("enqueue", "POST", path, {**quick, "multitask_strategy": "enqueue"})
    await server.call("thread", "GET", f"/threads/{thread}")
    await server.quietly("POST", f"{path}/{first['run_id']}/cancel?wait=true")
    await server.call("join the enqueued", "GET", f"{path}/{waiting['run_id']}/join")


async def displaced(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}/runs"
    lingers = {"assistant_id": "lingers", "durability": "sync"}
    await server.quietly("POST", path, {**lingers, "input": {"topic": "long"}})
    await _first_step(server, thread, "linger")
    quick = {**lingers, "input": {"topic": "short"}, "multitask_strategy": "interrupt"}
    await server.call("interrupt", "POST", f"{path}/wait", quick)
    await server.call("runs", "GET", path)


async def _first_step(server: Recorder, thread: str, second: str = "wait") -> None:
    """Until the graph waits in its second node."""
    async with asyncio.timeout(60):
        while second not in ((await server.quietly("GET", f"/threads/{thread}/state")) or {}).get("next", ()):
            await asyncio.sleep(0.05)


async def refused(server: Recorder) -> None:
    nobody = uuid4()
    run = {"assistant_id": "plain", "input": {}}
    await server.call("no thread", "POST", f"/threads/{nobody}/runs", run)
    await server.call("no run", "GET", f"/threads/{nobody}/runs/{uuid4()}")
    await server.call("no graph", "POST", "/runs/wait", {"assistant_id": "nothing", "input": {}})
    await server.call("no assistant", "POST", "/runs/wait", {"assistant_id": str(uuid4()), "input": {}})
    await server.call("nothing", "POST", "/runs/wait", {})
    await server.call("a wrong mode", "POST", "/runs/wait", {**run, "stream_mode": "loud"})
    await server.call("a wrong strategy", "POST", "/runs/wait", {**run, "multitask_strategy": "fight"})
    await server.call("no object", "POST", "/runs/wait", "text")


async def from_a_subgraphs_checkpoint(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    first = {"assistant_id": "nested", "input": {"topic": "x"}, "stream_mode": ["debug"], "stream_subgraphs": True}
    told = await server.stream("first", "POST", f"/threads/{thread}/runs/stream", first)
    below = [data["payload"] for name, data in told if name.startswith("debug|") and data["type"] == "checkpoint"]
    at = next(state["config"]["configurable"] for state in below if state["next"] == ["second"])
    names = ("checkpoint_ns", "checkpoint_id", "checkpoint_map")
    checkpoint = {name: at[name] for name in names}
    again = {"assistant_id": "nested", "stream_mode": ["updates", "values"], "stream_subgraphs": True}
    path = f"/threads/{thread}/runs/stream"
    await server.stream("again", "POST", path, {**again, "checkpoint": checkpoint})
    given = {**again, "checkpoint": checkpoint, "input": {"topic": "y"}}
    await server.stream("with an input", "POST", path, given)
    alone = {name: at[name] for name in names[:2]}
    await server.stream("without those around it", "POST", path, {**again, "checkpoint": alone})
    found = await server.quietly("POST", f"/threads/{thread}/history", {"limit": 100})
    sources = [(state["metadata"]["source"], state["metadata"]["step"], state["next"]) for state in found]
    assert ("fork", 2, ["inner"]) in sources, sources
