"""Refusals: programs look for words in them."""

from typing import Any
from uuid import uuid4

from tests.compat.recording import Recorder

PLAIN = {"assistant_id": "plain", "input": {}}


async def words(server: Recorder) -> None:
    there = (await server.quietly("POST", "/threads", {}))["thread_id"]
    busy = (await server.quietly("POST", "/threads", {}))["thread_id"]
    run = (await server.quietly("POST", f"/threads/{busy}/runs", {"assistant_id": "slow", "input": {}}))["run_id"]
    nobody = str(uuid4())
    missing = f"Thread with ID {nobody} not found"

    async def refused(method: str, path: str, body: Any, *phrases: str) -> None:
        label = f"{method} {path} {body}"
        for thread, name in ((nobody, "nobody"), (there, "there"), (busy, "busy")):
            label = label.replace(thread, name)
        answer = await server.call(label, method, path, body)
        for phrase in phrases:
            assert phrase.casefold() in answer["detail"].casefold(), (path, answer)

    await refused("GET", "/nowhere", None, "Not Found")
    await refused("DELETE", "/threads", None, "Method Not Allowed")
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/state", None),
        ("POST", "/state", {"values": {}}),
        ("GET", "/history", None),
        ("POST", "/history", {}),
        ("GET", "/runs", None),
    ):
        await refused(method, f"/threads/{nobody}{path}", body, missing)
    await refused("POST", "/threads", {"thread_id": there}, f"Thread with ID {there} already exists")
    for path in ("", "/stream", "/wait"):
        await refused("POST", f"/threads/{nobody}/runs{path}", PLAIN, "Thread or assistant not found")
        unknown = {"assistant_id": nobody, "input": {}}
        await refused("POST", f"/threads/{there}/runs{path}", unknown, "Thread or assistant not found")
        await refused("POST", f"/runs{path}", {"assistant_id": "nope"}, "Invalid assistant: 'nope'")
    await refused("POST", f"/threads/{busy}/runs", {**PLAIN, "multitask_strategy": "reject"}, "already running a task")
    await refused("DELETE", f"/threads/{there}/runs/{nobody}", None, "Run not found")
    await refused("GET", f"/threads/{there}/runs/nope", None, "Invalid run ID: must be a UUID")
    await refused("POST", f"/threads/{there}/runs/{nobody}/cancel", None, "No runs found to cancel")
    await refused("POST", "/runs/cancel", {"thread_id": there, "run_ids": [nobody]}, "No runs found to cancel")
    await refused("PATCH", f"/assistants/{nobody}", {"name": "x"}, f"Assistant {nobody} not found")
    await refused("DELETE", f"/assistants/{nobody}", None, nobody, "not found")
    await refused("POST", "/assistants", {"graph_id": "nope"}, "Graph 'nope' not found")
    await refused("PATCH", f"/runs/crons/{nobody}", {"enabled": False}, f"Cron '{nobody}' not found")
    await server.quietly("POST", f"/threads/{busy}/runs/{run}/cancel?wait=1")


async def words_about_members(server: Recorder) -> None:
    for path, body, phrase in (
        ("/runs", {}, '"assistant_id" is a required property'),
        ("/assistants", {}, '"graph_id" is a required property'),
        ("/store/items", {"namespace": ["a"], "key": "k"}, '"value" is a required property'),
        ("/threads", {"metadata": 3}, '3 is not of type "object"'),
        ("/threads", {"if_exists": "x"}, '"x" is not one of'),
        ("/threads/search", {"limit": -1}, "-1 is less than the minimum of 1"),
        ("/threads/search", {"limit": 10_000}, "10000 is greater than the maximum of 1000"),
        ("/threads/search", {"status": "x"}, '"x" is not one of'),
        ("/runs/cancel", {"status": "x"}, '"x" is not one of'),
    ):
        answer = await server.call(f"{path} {body}", "PUT" if path.startswith("/store") else "POST", path, body)
        assert phrase in answer["detail"], (path, answer)
