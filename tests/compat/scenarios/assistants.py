"""Assistants: the graphs' own, and those that clients make."""

from tests.compat.recording import Recorder


async def the_graphs_own(server: Recorder) -> None:
    found = await server.call("search", "POST", "/assistants/search", {"graph_id": "plain"})
    assistant = found[0]["assistant_id"]
    await server.call("get", "GET", f"/assistants/{assistant}")
    await server.call("graph", "GET", f"/assistants/{assistant}/graph")
    await server.call("schemas", "GET", f"/assistants/{assistant}/schemas")
    await server.call("subgraphs", "GET", f"/assistants/{assistant}/subgraphs")
    await server.call("versions", "POST", f"/assistants/{assistant}/versions", {})
    await server.call("unknown", "GET", "/assistants/00000000-0000-4000-8000-000000000000")
    await server.call("no id", "GET", "/assistants/nobody")


async def a_nested_graph(server: Recorder) -> None:
    found = await server.quietly("POST", "/assistants/search", {"graph_id": "nested"})
    assistant = found[0]["assistant_id"]
    await server.call("graph", "GET", f"/assistants/{assistant}/graph")
    await server.call("xray", "GET", f"/assistants/{assistant}/graph?xray=true")
    await server.call("subgraphs", "GET", f"/assistants/{assistant}/subgraphs?recurse=true")
    await server.call("one subgraph", "GET", f"/assistants/{assistant}/subgraphs/inner")


async def one_of_a_client(server: Recorder) -> None:
    body = {"graph_id": "plain", "name": "mine", "metadata": {"team": "a"}, "description": "of a test"}
    made = await server.call("create", "POST", "/assistants", {**body, "config": {"configurable": {"tone": "warm"}}})
    path = f"/assistants/{made['assistant_id']}"
    again = {**body, "assistant_id": made["assistant_id"]}
    await server.call("create again", "POST", "/assistants", again)
    await server.call("create unless there", "POST", "/assistants", {**again, "if_exists": "do_nothing"})
    await server.call("patch", "PATCH", path, {"name": "ours", "metadata": {"size": 2}})
    await server.call("versions", "POST", f"{path}/versions", {"limit": 10})
    await server.call("latest", "POST", f"{path}/latest", {"version": 1})
    await server.call("search", "POST", "/assistants/search", {"metadata": {"team": "a"}, "limit": 1})
    await server.call("count", "POST", "/assistants/count", {"metadata": {"team": "a"}})
    run = {"assistant_id": made["assistant_id"], "input": {"topic": "x"}}
    await server.call("run", "POST", "/runs/wait", run)
    await server.call("delete", "DELETE", path)
    await server.call("delete again", "DELETE", path)
    await server.call("of no graph", "POST", "/assistants", {"graph_id": "nothing"})
    await server.call("without a graph", "POST", "/assistants", {})
