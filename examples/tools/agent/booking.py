"""An agent that books flights. Others call it by A2A."""

from agent.effects import leave
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


async def reserve(state: MessagesState) -> MessagesState:
    """Book what the last message asks for."""
    asked = str(state["messages"][-1].content)
    await leave(f"reserve {asked}")
    return {"messages": [AIMessage(f"Booked: {asked}")]}


graph = StateGraph(MessagesState).add_node(reserve).add_edge(START, "reserve").compile()
