"""What is done with each project by the SDK: a function a project, which returns what a program could notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

Play = Callable[[str, LangGraphClient], Awaitable[Any]]


@dataclass(frozen=True)
class Shape:
    """How a project is started, and what it is asked. `start_in` and `config` are paths inside of its folder."""

    play: Play
    start_in: str = "."
    config: str = "langgraph.json"
    #: `langgraph dev` wants this on its PYTHONPATH, as it is once the project is installed; None: it lacks a package.
    installed: str | None = ""


async def values(client: LangGraphClient, graph: str, given: Any, **more: Any) -> Any:
    """The values of a run on a thread of its own."""
    thread = await client.threads.create()
    return await client.runs.wait(thread["thread_id"], graph, input=given, **more)


async def research(_: str, client: LangGraphClient) -> Any:
    chunks = client.runs.stream(
        None, "researcher", input={"topic": "tea"}, stream_mode="updates", stream_subgraphs=True
    )
    updates = [f"{chunk.event.partition('|')[0]} {[*chunk.data]}" async for chunk in chunks if "updates" in chunk.event]
    schemas = await client.assistants.get_schemas(await assistant_of(client, "planner"))
    given = schemas["input_schema"] or {}
    return await values(client, "researcher", {"topic": "tea"}), sorted(updates), [*given["properties"]]


async def memory(_: str, client: LangGraphClient) -> Any:
    told = []
    for said in ("I drink tea", "I bake bread", "what about tea?"):
        more: Any = {"context": {"user_id": "ada"}}
        run = await values(client, "agent", {"messages": [{"role": "user", "content": said}]}, **more)
        told.append(run["messages"][-1]["content"])
    found = await client.store.search_items(("memories", "ada"), query="bread", limit=1)
    return told, [item["value"] for item in found["items"]]


async def fullstack(url: str, _: LangGraphClient) -> Any:
    ada, bob = ({"Authorization": f"Bearer {name}-key"} for name in ("ada", "bob"))
    async with get_client(url=url, headers=ada) as client:
        thread = await client.threads.create()
        run: Any = await client.runs.wait(thread["thread_id"], "agent", input={"messages": []})
    async with get_client(url=url, headers=bob) as client:
        found = await client.threads.search()
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        route = await http.get("/app/whoami", headers=bob)
        path = f"/threads/{thread['thread_id']}"
        refused = [await http.get("/app/whoami"), await http.get(path), await http.get(path, headers=bob)]
    return run["messages"][-1]["content"], route.json(), [answer.status_code for answer in refused], len(found)


async def monorepo(_: str, client: LangGraphClient) -> Any:
    return [await values(client, graph, {"text": "Where is it?"}) for graph in ("support", "billing")]


async def deployment(url: str, client: LangGraphClient) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        return await values(client, "agent", {}), (await http.get("/stage")).text


async def assistant(_: str, client: LangGraphClient) -> Any:
    thread = await client.threads.create()
    asked: Any = await client.runs.wait(thread["thread_id"], "main", input={"email": "Lunch?"})
    state = await client.threads.get_state(thread["thread_id"])
    answer: Any = [{"type": "edit", "args": {"action": "send", "args": {"text": "Yes."}}}]
    sent = await client.runs.wait(thread["thread_id"], "main", command={"resume": answer})
    config: Any = {"configurable": {"word": "hi"}}
    made = [
        await values(client, graph, {}, config=config) for graph in ("by_config", "awaited", "opened", "by_runtime")
    ]
    names = sorted(one["graph_id"] for one in await client.assistants.search())
    return [interrupt["value"] for interrupt in asked["__interrupt__"]], state["next"], sent, made, names


async def lead(_: str, client: LangGraphClient) -> Any:
    made = await client.assistants.create("lead_agent", config={"configurable": {"model_name": "large"}})
    said = {"messages": [{"role": "user", "content": "a question"}]}
    runs = [await values(client, graph, said) for graph in ("lead_agent", made["assistant_id"])]
    return [run["messages"][-1]["content"] for run in runs]


async def supervisor(_: str, client: LangGraphClient) -> Any:
    said = {"messages": [{"role": "user", "content": "Which?"}]}
    run = await values(client, "team", said)
    graph: Any = await client.assistants.get_graph(await assistant_of(client, "team"), xray=True)
    nodes = sorted(node["id"] for node in graph["nodes"])
    return [(message["type"], message["name"], message["content"]) for message in run["messages"]], nodes


async def inbox(_: str, client: LangGraphClient) -> Any:
    thread = await client.threads.create()
    said: Any = {"messages": [{"role": "user", "content": "Write to ada"}]}
    asked: Any = await client.runs.wait(thread["thread_id"], "inbox", input=said)
    decision: Any = {
        "decisions": [{"type": "edit", "edited_action": {"name": "send", "args": {"to": "bob", "text": "ho"}}}]
    }
    sent: Any = await client.runs.wait(thread["thread_id"], "inbox", command={"resume": decision})
    extracted = await values(client, "extract", said)
    requests = asked["__interrupt__"][0]["value"]["action_requests"]
    # The middleware has a note of its own before what the tool says.
    said_last = sent["messages"][-1]["content"].endswith("bob: ho")
    return [one["args"] for one in requests], said_last, extracted["structured_response"]


async def reviewer(url: str, client: LangGraphClient) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        hook = await http.post("/webhooks/change", json={"change": "two"})
    return await values(client, "reviewer", {"change": "one"}), hook.json()


async def assistant_of(client: LangGraphClient, graph: str) -> str:
    """The id of a graph's own assistant."""
    [found] = await client.assistants.search(graph_id=graph)
    return found["assistant_id"]


SHAPES = {
    "research": Shape(research, installed="src"),
    "memory": Shape(memory, installed="src"),
    "fullstack": Shape(fullstack, installed="src"),
    "monorepo": Shape(monorepo, start_in="apps/support", installed="../../libs/common/src"),
    "deployment": Shape(deployment, config="deploy/langgraph.json"),
    "assistant": Shape(assistant, installed=None),
    "lead": Shape(lead),
    "supervisor": Shape(supervisor),
    "inbox": Shape(inbox, installed=None),
    "reviewer": Shape(reviewer),
}
