"""Threads, without runs and with some."""

from uuid import uuid4

from tests.compat.recording import Recorder


async def empty(server: Recorder) -> None:
    made = await server.call("create", "POST", "/threads", {"metadata": {"team": "a"}})
    thread = made["thread_id"]
    path = f"/threads/{thread}"
    await server.call("get", "GET", path)
    await server.call("create again", "POST", "/threads", {"thread_id": thread})
    await server.call("create unless there", "POST", "/threads", {"thread_id": thread, "if_exists": "do_nothing"})
    await server.call("patch", "PATCH", path, {"metadata": {"size": 2}})
    await server.call("state", "GET", f"{path}/state")
    await server.call("history", "POST", f"{path}/history", {})
    await server.call("runs", "GET", f"{path}/runs")
    await server.call("search", "POST", "/threads/search", {"metadata": {"team": "a"}, "ids": [thread]})
    await server.call("search by ids", "POST", "/threads/search", {"ids": [thread], "select": ["thread_id", "status"]})
    await server.call("count", "POST", "/threads/count", {"metadata": {"of": thread}})
    await server.call("copy", "POST", f"{path}/copy")
    await server.call("delete", "DELETE", path)
    await server.call("get deleted", "GET", path)
    await server.call("delete again", "DELETE", path)
    await server.call("state of none", "GET", f"{path}/state")
    await server.call("history of none", "POST", f"{path}/history", {})


async def after_a_run(server: Recorder) -> None:
    thread = str(uuid4())
    run = {"assistant_id": "plain", "input": {"topic": "x"}, "if_not_exists": "create"}
    await server.quietly("POST", f"/threads/{thread}/runs/wait", run)
    path = f"/threads/{thread}"
    await server.call("get", "GET", path)
    state = await server.call("state", "GET", f"{path}/state")
    await server.call("history", "POST", f"{path}/history", {"limit": 10})
    checkpoint = state["checkpoint"]["checkpoint_id"]
    await server.call("state at", "GET", f"{path}/state/{checkpoint}")
    await server.call("state at one in a body", "POST", f"{path}/state/checkpoint", {"checkpoint": state["checkpoint"]})
    await server.call("update", "POST", f"{path}/state", {"values": {"topic": "y"}})
    await server.call("update as", "POST", f"{path}/state", {"values": {"done": ["by hand"]}, "as_node": "first"})
    await server.call("state updated", "GET", f"{path}/state")
    await server.call("get updated", "GET", path)
    await server.call("go on", "POST", f"{path}/runs/wait", {"assistant_id": "plain", "input": None})
    await server.call("update as nobody", "POST", f"{path}/state", {"values": {"topic": "y"}, "as_node": "nobody"})
    copied = await server.call("copy", "POST", f"{path}/copy")
    await server.call("state of the copy", "GET", f"/threads/{copied['thread_id']}/state")
    await server.call("search by values", "POST", "/threads/search", {"ids": [thread], "values": {"topic": "y"}})


async def made_of_supersteps(server: Recorder) -> None:
    updates = [{"values": {"topic": "x"}, "as_node": "__input__"}], [{"values": {"done": ["f"]}, "as_node": "first"}]
    body = {"metadata": {"graph_id": "plain"}, "supersteps": [{"updates": each} for each in updates]}
    made = await server.call("create", "POST", "/threads", body)
    await server.call("state", "GET", f"/threads/{made['thread_id']}/state")


async def described_by_their_runs_config(server: Recorder) -> None:
    """Checkpoints' metadata, and threads' config, have what a run was configured with."""
    configurable = {"author": "me", "number": 3, "flag": True, "object": {"a": [1, None]}, "nothing": None}
    config = {"configurable": configurable, "metadata": {"m": "1"}, "tags": ["t"], "recursion_limit": 20}
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    await server.call("thread before", "GET", path)
    run = {"assistant_id": "nested_asks", "config": config, "durability": "sync"}
    made = await server.call("create", "POST", f"{path}/runs", {**run, "input": {}, "metadata": {"r": 2}})
    await server.quietly("GET", f"{path}/runs/{made['run_id']}/join")
    await server.call("thread", "GET", path)
    await server.call("state", "GET", f"{path}/state")
    state = await server.call("state with its subgraph's", "GET", f"{path}/state?subgraphs=true")
    inner = state["tasks"][0]["state"]["checkpoint"]
    await server.call("the subgraph's history", "POST", f"{path}/history", {"limit": 10, "checkpoint": inner})
    resume = {**run, "command": {"resume": "yes"}, "stream_mode": ["debug", "tasks", "checkpoints"]}
    await server.stream("answer", "POST", f"{path}/runs/stream", {**resume, "stream_subgraphs": True})
    await server.quietly("POST", f"{path}/runs/wait", {"assistant_id": "plain", "input": {}, "durability": "sync"})
    await server.call("thread after another", "GET", path)
    history = await server.call("history", "POST", f"{path}/history", {"limit": 20})
    start = next(state["checkpoint"] for state in history if state["next"] == ["second"])
    fork = {"assistant_id": "plain", "input": None, "checkpoint": start, "config": config, "durability": "sync"}
    await server.quietly("POST", f"{path}/runs/wait", fork)
    await server.call("history with a fork", "POST", f"{path}/history", {"limit": 20})
    await server.quietly("POST", f"{path}/state", {"values": {"topic": "y"}, "checkpoint": start})
    await server.call("state after an edit in the past", "GET", f"{path}/state")
    copy = (await server.quietly("POST", f"{path}/copy"))["thread_id"]
    await server.call("state of a copy", "GET", f"/threads/{copy}/state")
