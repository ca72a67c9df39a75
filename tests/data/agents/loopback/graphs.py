"""Nodes that call their own server with LangGraph's SDK, as its documentation shows: without an address."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import AuthenticationError


class State(TypedDict, total=False):
    n: int
    ask: str
    told: Any


async def threads_of_mine() -> Any:
    async with get_client() as client:
        thread = await client.threads.create(metadata={"by": "node"})
        found = await client.threads.search(limit=1000)
        return {"metadata": thread["metadata"], "owners": sorted({each["metadata"]["owner"] for each in found})}


async def waits() -> Any:
    return await get_client().runs.wait(None, "worker", input={"n": 20})


async def streams() -> Any:
    told = get_client().runs.stream(None, "worker", input={"n": 20}, stream_mode=["values", "custom"])
    return [part.event async for part in told]


async def remotely() -> Any:
    graph = RemoteGraph("worker", client=get_client(), sync_client=get_sync_client())
    return [await graph.ainvoke({"n": 20}), await asyncio.to_thread(graph.invoke, {"n": 20})]


async def other_headers() -> Any:
    client = get_client(headers={"Authorization": "Bearer mallory", "X-Api-Key": "none"}, timeout=30)
    return (await client.threads.create())["metadata"]


async def route() -> Any:
    """The agent's own web app, through the server."""
    return await get_client().http.get("/mine")


async def loose_thread() -> Any:
    """A thread that does not know for whom it works."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(len(get_sync_client().threads.search()))
        except AuthenticationError as error:
            found.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)
    return found[0]


async def later() -> Any:
    """A task that goes on when its run has ended, and says what it was told then."""
    client = get_client()

    async def go_on() -> None:
        from auth import note

        while True:
            try:
                await client.threads.search()
            except AuthenticationError as error:
                note("later", type(error).__name__, error)
                return

    LATER.append(asyncio.create_task(go_on()))
    return "started"


LATER: list[asyncio.Task[None]] = []
ASYNC: dict[str, Callable[[], Awaitable[Any]]] = {
    "threads": threads_of_mine,
    "wait": waits,
    "stream": streams,
    "remote": remotely,
    "headers": other_headers,
    "route": route,
    "loose": loose_thread,
    "later": later,
}


async def ask(state: State) -> State:
    return {"told": await ASYNC[state["ask"]]()}


def ask_in_a_thread(state: State) -> State:
    """A sync node, whose event loops come and go."""
    client = get_sync_client()
    thread = client.threads.create(metadata={"by": "sync"})
    values = client.runs.wait(None, "worker", input={"n": 20})
    twice = [asyncio.run(SHARED.threads.create())["metadata"] for _ in range(2)]
    return {"told": {"metadata": thread["metadata"], "values": values, "twice": twice}}


SHARED = get_client()
asks = (
    StateGraph(State)
    .add_node(ask)
    .add_node(ask_in_a_thread)
    .set_conditional_entry_point(lambda state: "ask_in_a_thread" if state["ask"] == "sync" else "ask")
    .compile()
)


async def work(state: State, config: RunnableConfig) -> State:
    given = config["configurable"]
    headers = sorted(name for name in given if name.startswith("x-"))
    return {"n": state["n"] + 1, "told": {"user": given.get("langgraph_auth_user_id"), "headers": headers}}


worker = StateGraph(State).add_node(work).add_edge("__start__", "work").compile()


async def made(config: RunnableConfig) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A factory that asks its own server: in a run as its user, for a drawing as the agent."""
    owner = (await get_client().threads.create())["metadata"].get("owner", "nobody")
    node = f"for_{config['configurable']['langgraph_auth_user'].identity}_as_{owner}"
    builder = StateGraph(State)
    builder.add_node(node, lambda _: {"told": node})
    builder.add_edge("__start__", node)
    return builder.compile()
