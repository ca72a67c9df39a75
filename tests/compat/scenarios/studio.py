"""What LangGraph Studio, a page of another origin, asks of the server on one's own machine."""

from tests.compat.recording import Recorder

_STUDIO = "https://smith.langchain.com"
_SENT = "authorization,content-type,last-event-id,x-api-key,x-auth-scheme,x-tenant-id,x-user-id"
_MODES = ["debug", "messages"]


async def leave_to_call(server: Recorder) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        asked = {
            "Origin": _STUDIO,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": _SENT,
        }
        await server.call(f"preflight of {method}", "OPTIONS", "/threads/search", headers=asked)
    private = {**asked, "Access-Control-Request-Private-Network": "true"}
    await server.call("from a public page", "OPTIONS", "/threads/search", headers=private)
    other = {**asked, "Origin": "https://elsewhere.example"}
    await server.call("of any page", "OPTIONS", "/threads/search", headers=other)
    for path in ("/store/items?namespace=elsewhere&key=none", "/nothing/there"):
        await server.call(f"read {path}", "GET", path, headers={"Origin": _STUDIO})
        await server.call(f"read {path} by any page", "GET", path, headers={"Origin": "https://elsewhere.example"})


async def a_visit(server: Recorder) -> None:
    server.http.headers["Origin"] = _STUDIO
    found = await server.call("assistants", "POST", "/assistants/search", {"graph_id": "nested", "limit": 100})
    assistant = f"/assistants/{found[0]['assistant_id']}"
    await server.call("graph", "GET", f"{assistant}/graph?xray=true")
    await server.call("schemas", "GET", f"{assistant}/schemas")
    await server.call("subgraphs", "GET", f"{assistant}/subgraphs?recurse=true")
    await server.call("versions", "POST", f"{assistant}/versions", {"metadata": {}, "limit": 100, "offset": 0})
    made = await server.call("a thread", "POST", "/threads", {"metadata": {"graph_id": "nested"}})
    thread = f"/threads/{made['thread_id']}"
    body = {
        "assistant_id": found[0]["assistant_id"],
        "input": {"topic": "x"},
        "config": {"recursion_limit": 100},
        "stream_mode": _MODES,
        "stream_subgraphs": True,
        "stream_resumable": True,
        "multitask_strategy": "rollback",
        "durability": "sync",
        "on_disconnect": "continue",
    }
    await server.stream("a run", "POST", f"{thread}/runs/stream", body)
    await server.call("threads", "POST", "/threads/search", {"ids": [made["thread_id"]], "limit": 20, "offset": 0})
    await server.call("state", "GET", f"{thread}/state?subgraphs=true")
    history = await server.call("history", "POST", f"{thread}/history", {"limit": 1000})
    await server.call("runs", "GET", f"{thread}/runs?limit=10")
    edited = next(state["checkpoint"] for state in history if state["next"] == ["inner"])
    await server.call("edit", "POST", f"{thread}/state", {"values": {"topic": "y"}, "checkpoint": edited})
    again = {**body, "input": None, "checkpoint": edited, "interrupt_after": ["before"]}
    await server.stream("a fork", "POST", f"{thread}/runs/stream", again)
    await server.call("namespaces", "POST", "/store/namespaces", {"limit": 1000, "prefix": ["studio"]})
    await server.call("items", "POST", "/store/items/search", {"namespace_prefix": ["studio"], "limit": 100})


async def a_question(server: Recorder) -> None:
    server.http.headers["Origin"] = _STUDIO
    made = await server.quietly("POST", "/threads", {})
    path = f"/threads/{made['thread_id']}"
    body = {"assistant_id": "ask", "stream_mode": _MODES, "stream_subgraphs": True}
    await server.stream("ask", "POST", f"{path}/runs/stream", {**body, "input": {"topic": "x"}})
    await server.call("state", "GET", f"{path}/state?subgraphs=true")
    await server.stream("answer", "POST", f"{path}/runs/stream", {**body, "command": {"resume": "yes"}})
