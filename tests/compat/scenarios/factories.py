"""Factories: every route that needs a graph asks for that of the assistant and of the thread."""

from __future__ import annotations

from typing import Any

from tests.compat.recording import Recorder


async def drawn_with_the_assistants_config(server: Recorder) -> None:
    for label, given in (
        ("config", {"config": {"configurable": {"kind": "warm"}}}),
        ("context", {"context": {"kind": "warm"}}),
    ):
        assistant = (await server.quietly("POST", "/assistants", {"graph_id": "made", **given}))["assistant_id"]
        await server.call(f"{label}: graph", "GET", f"/assistants/{assistant}/graph")
        await server.call(f"{label}: xray", "GET", f"/assistants/{assistant}/graph?xray=true")
        await server.call(f"{label}: schemas", "GET", f"/assistants/{assistant}/schemas")
        await server.call(f"{label}: subgraphs", "GET", f"/assistants/{assistant}/subgraphs?recurse=true")
        await server.call(f"{label}: one subgraph", "GET", f"/assistants/{assistant}/subgraphs/sub")


async def states_of_the_threads_assistants(server: Recorder) -> None:
    thread = await _thread_of_a_warm_one(server)
    await _edits(server, "first", thread, "warm", "none", "cold")
    # What a run says is the run's; what an assistant says stays with the thread.
    cold: dict[str, Any] = {
        "assistant_id": "made",
        "input": {"topic": "x"},
        "config": {"configurable": {"kind": "cold"}},
    }
    await server.call("run of another", "POST", f"/threads/{thread}/runs/wait", cold)
    await _edits(server, "then", thread, "warm", "none", "cold")
    await server.call("state", "GET", f"/threads/{thread}/state?subgraphs=true")


async def a_copy_forgets_them(server: Recorder) -> None:
    thread = await _thread_of_a_warm_one(server)
    copy = (await server.quietly("POST", f"/threads/{thread}/copy"))["thread_id"]
    await _edits(server, "copy", copy, "warm", "none")


async def _thread_of_a_warm_one(server: Recorder) -> str:
    made = {"graph_id": "made", "config": {"configurable": {"kind": "warm"}}}
    assistant = (await server.quietly("POST", "/assistants", made))["assistant_id"]
    thread: str = (await server.quietly("POST", "/threads", {}))["thread_id"]
    run = {"assistant_id": assistant, "input": {"topic": "x"}, "config": {"configurable": {"more": 1}}}
    await server.call("run", "POST", f"/threads/{thread}/runs/wait", run)
    return thread


async def _edits(server: Recorder, label: str, thread: str, *kinds: str) -> None:
    for kind in kinds:
        body = {"values": {"done": ["edited"]}, "as_node": f"of_{kind}"}
        await server.call(f"{label}: as of_{kind}", "POST", f"/threads/{thread}/state", body)


async def named_by_their_author(server: Recorder) -> None:
    found = await server.call("search", "POST", "/assistants/search", {"name": "react"})
    await server.call("schemas", "GET", f"/assistants/{found[0]['assistant_id']}/schemas")
    run = {"assistant_id": "named", "input": {"topic": "x"}, "stream_mode": ["events"]}
    told = await server.stream("events", "POST", "/runs/stream", run)
    assert "ReAct Agent" in {data.get("name") for name, data in told if name == "events"}


async def configured_by_the_environment(server: Recorder) -> None:
    found = await server.call("search", "POST", "/assistants/search", {"graph_id": "configured"})
    await server.call("graph", "GET", f"/assistants/{found[0]['assistant_id']}/graph")
    await server.call("run", "POST", "/runs/wait", {"assistant_id": "configured", "input": {"topic": "x"}})
    other = {"assistant_id": "configured", "input": {"topic": "x"}, "config": {"configurable": {"kind": "other"}}}
    await server.call("run of another", "POST", "/runs/wait", other)
    made = await server.call("one more", "POST", "/assistants", {"graph_id": "configured"})
    await server.call("its graph", "GET", f"/assistants/{made['assistant_id']}/graph")
