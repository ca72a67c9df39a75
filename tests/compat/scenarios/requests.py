"""What a request may say and what not: bounds, defaults, ids that are none, and what contradicts itself."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.compat.recording import Recorder

STATELESS: dict[str, Any] = {"assistant_id": "plain", "input": {"topic": "x"}}
RUN = {**STATELESS, "durability": "sync"}
#: Checkpoints nobody has, before and behind all others: `before` is a place in their order.
_FIRST, _LAST = "00000000-0000-6000-8000-000000000000", "ffffffff-ffff-6fff-bfff-ffffffffffff"


async def histories(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    for _ in range(3):
        await server.quietly("POST", f"/threads/{thread}/runs/wait", RUN)
    path = f"/threads/{thread}/history"
    whole = await server.call("all", "POST", path, {"limit": 1000})
    await server.call("GET, no limit", "GET", path)
    await server.call("POST, no limit", "POST", path, {})
    for limit in (-1, 0, 1, 3, 1000, 1001, "many"):
        await server.call(f"GET, limit {limit}", "GET", f"{path}?limit={limit}")
        await server.call(f"POST, limit {limit}", "POST", path, {"limit": limit})
    middle = whole[4]["checkpoint"]
    for before in (middle["checkpoint_id"], _FIRST, _LAST, "nothing", ""):
        await server.call("GET, before", "GET", f"{path}?limit=100&before={before}")
    for config in (middle, {"checkpoint_id": _FIRST}, {"checkpoint_id": _LAST}, {"checkpoint_id": "nothing"}, {}):
        await server.call("POST, before", "POST", path, {"limit": 100, "before": {"configurable": config}})
    for at in (middle, {"checkpoint_id": str(uuid4())}, {"checkpoint_ns": "x"}, {}):
        await server.call("POST, checkpoint", "POST", path, {"limit": 100, "checkpoint": at})
    for metadata in ({"source": "loop"}, {"step": 1}, {"nothing": 1}):
        await server.call("POST, metadata", "POST", path, {"limit": 100, "metadata": metadata})


async def edits_of_a_busy_thread(server: Recorder) -> None:
    edit = {"values": {"topic": "y"}}
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    await server.quietly("POST", f"{path}/runs/wait", RUN)
    later = (await server.quietly("POST", f"{path}/runs", {**RUN, "after_seconds": 300}))["run_id"]
    await server.call("with a delayed run", "POST", f"{path}/state", edit)
    await server.call("patched", "PATCH", path, {"metadata": {"a": 1}})
    await server.quietly("POST", f"{path}/runs/wait", RUN)
    await server.call("thread with a delayed run", "GET", path)
    await server.quietly("POST", f"{path}/runs/{later}/cancel")
    await server.call("with none any more", "POST", f"{path}/state", edit)
    await server.quietly("POST", f"{path}/runs", {**RUN, "assistant_id": "slow"})
    async with asyncio.timeout(60):
        while "wait" not in ((await server.quietly("GET", f"{path}/state")) or {}).get("next", ()):
            await asyncio.sleep(0.05)
    await server.call("with a running run", "POST", f"{path}/state", edit)
    await server.quietly("DELETE", path)


async def context_and_configurable_together(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    both = {"context": {"tone": "warm"}, "config": {"configurable": {"tone": "cold"}}}
    for kind, path in (("a thread", f"/threads/{thread}/runs"), ("none", "/runs")):
        for way in ("", "/wait", "/stream"):
            await server.call(f"{way or 'create'} of {kind}", "POST", path + way, {**RUN, **both})
    await server.call("batch", "POST", "/runs/batch", [{**STATELESS, **both}])
    await server.call("one of them empty", "POST", "/runs/wait", {**STATELESS, **both, "context": {}})
    await server.call("the other empty", "POST", "/runs/wait", {**STATELESS, **both, "config": {"configurable": {}}})
    made = await server.call("assistant", "POST", "/assistants", {"graph_id": "plain", **both})
    made = await server.quietly("POST", "/assistants", {"graph_id": "plain", "context": {"tone": "warm"}})
    await server.call("patch", "PATCH", f"/assistants/{made['assistant_id']}", both)
    await server.call(
        "over an assistant's",
        "POST",
        "/runs/wait",
        {**STATELESS, "assistant_id": made["assistant_id"], "config": both["config"]},
    )


async def checkpoints(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}"
    await server.quietly("POST", f"{path}/runs/wait", RUN)
    history = await server.quietly("POST", f"{path}/history", {"limit": 10})
    real = next(state["checkpoint"]["checkpoint_id"] for state in history if state["next"] == ["second"])
    again = {**RUN, "input": None}
    for name, checkpoint in (("no id", "nothing"), ("nobody's", str(uuid4())), ("one", real)):
        for way in ("", "/wait"):
            body = {**again, "checkpoint_id": checkpoint}
            answer = await server.call(f"run{way} from {name}", "POST", f"{path}/runs{way}", body)
            if not way and "run_id" in answer:
                await server.quietly("GET", f"{path}/runs/{answer['run_id']}/join")
        for where in (
            {"checkpoint": {"checkpoint_id": checkpoint}},
            {"config": {"configurable": {"checkpoint_id": checkpoint}}},
        ):
            await server.call(f"by {next(iter(where))} from {name}", "POST", f"{path}/runs/wait", {**again, **where})
        await server.call(f"stateless from {name}", "POST", "/runs/wait", {**STATELESS, "checkpoint_id": checkpoint})
        await server.call(f"state at {name}", "GET", f"{path}/state/{checkpoint}")


async def malformed_ids(server: Recorder) -> None:
    bad, nobody = "nope", uuid4()
    for method, path, body in (
        *(("POST", f"/threads/{bad}/runs{way}", RUN) for way in ("", "/wait", "/stream")),
        *(
            ("GET", f"/threads/{bad}/runs{rest}", None)
            for rest in ("", f"/{nobody}", f"/{nobody}/join", f"/{nobody}/stream")
        ),
        ("POST", f"/threads/{bad}/runs/{nobody}/cancel", None),
        ("DELETE", f"/threads/{bad}/runs/{nobody}", None),
        ("POST", f"/threads/{bad}/runs/crons", {**RUN, "schedule": "0 0 1 1 *"}),
        ("GET", f"/threads/{bad}", None),
        ("PATCH", f"/threads/{bad}", {"metadata": {}}),
        ("DELETE", f"/threads/{bad}", None),
        ("POST", f"/threads/{bad}/copy", None),
        *(("GET", f"/threads/{bad}/{rest}", None) for rest in ("state", f"state/{nobody}", "history", "stream")),
        ("POST", f"/threads/{bad}/state", {"values": {}}),
        ("POST", f"/threads/{bad}/state/checkpoint", {"checkpoint": {}}),
        ("POST", f"/threads/{bad}/history", {}),
        *(("GET", f"/threads/{nobody}/runs/{bad}{rest}", None) for rest in ("", "/join", "/stream")),
        ("DELETE", f"/threads/{nobody}/runs/{bad}", None),
        *(("GET", f"/assistants/{bad}{rest}", None) for rest in ("", "/graph", "/schemas", "/subgraphs")),
        ("PATCH", f"/assistants/{bad}", {}),
        ("DELETE", f"/assistants/{bad}", None),
        ("POST", f"/assistants/{bad}/versions", {}),
        ("POST", f"/assistants/{bad}/latest", {"version": 1}),
        ("DELETE", f"/runs/crons/{bad}", None),
    ):
        await server.call(f"{method} {path.replace(str(nobody), 'ID')}", method, path, body)


async def webhooks(server: Recorder) -> None:
    for host in (
        *(
            "localhost:9",
            "LOCALHOST",
            "localhost.localdomain",
            "127.0.0.1",
            "127.9.9.9:80",
            "127.1",
            "2130706433",
            "0x7f.1",
        ),
        *("[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "224.0.0.1", "[fe80::1]"),
        *("service.namespace.svc.cluster.local", "10.1.2.3", "192.168.1.1"),
    ):
        for scheme in ("http", "https"):
            await server.call(f"{scheme} to {host}", "POST", "/runs", {**RUN, "webhook": f"{scheme}://{host}/done"})
    for text in ("/runs", "nothing", "ftp://example.com", "", " "):
        await server.call(repr(text), "POST", "/runs", {**RUN, "webhook": text})
    cron = {"assistant_id": "plain", "schedule": "0 0 1 1 *", "webhook": "http://127.0.0.1/"}
    await server.call("of a cron", "POST", "/runs/crons", cron)


async def lists_and_delays(server: Recorder) -> None:
    thread = (await server.quietly("POST", "/threads", {}))["thread_id"]
    path = f"/threads/{thread}/runs"
    for _ in range(2):
        await server.quietly("POST", f"{path}/wait", STATELESS)
    for query in ("limit=0", "limit=1", "limit=1001", "offset=1", "status=success", "status=nothing", "select=run_id"):
        await server.call(query, "GET", f"{path}?{query}")
    at_once = await server.call("at once", "POST", path, {**STATELESS, "after_seconds": -1})
    await server.quietly("GET", f"{path}/{at_once['run_id']}/join")
    await server.call("when", "POST", path, {**STATELESS, "after_seconds": "soon"})
    await server.call("batch", "POST", "/runs/batch", [{**STATELESS, "thread_id": thread}])
    await server.call("runs", "GET", path)
