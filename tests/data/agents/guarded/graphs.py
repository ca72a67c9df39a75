"""A graph that says whom it runs for."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime


class State(MessagesState):
    seen: dict[str, Any]


async def tell(state: State, config: RunnableConfig, runtime: Runtime[None]) -> dict[str, Any]:
    given = config["configurable"]
    user, info = given.get("langgraph_auth_user"), runtime.server_info
    seen = {
        "identity": user and user.identity,
        "member": user and user["team"],
        "attribute": user and user.team,
        "secret": user and user.get("secret") is not None,
        "id": given.get("langgraph_auth_user_id"),
        "permissions": given.get("langgraph_auth_permissions"),
        "runtime": info.user.identity if info and info.user else None,
        "extra": given.get("extra"),
    }
    return {"seen": seen, "messages": [AIMessage(f"you are {seen['identity']}")]}


builder = StateGraph(State)
builder.add_node(tell)
builder.add_edge(START, "tell")
whoami = builder.compile()
