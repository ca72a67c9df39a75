import os
from typing import Annotated

from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import END, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from langgraph.types import Command
from studio.models import Scripted


@tool
def ask_expert(state: Annotated[dict, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
    """Hand over to the expert."""
    told = ToolMessage("handed over", name="ask_expert", tool_call_id=tool_call_id)
    return Command(goto="expert", graph=Command.PARENT, update={"messages": [*state["messages"], told]})


@tool
async def look_up() -> str:
    """Look it up."""
    return f"it is {os.environ['TEAM']}"


def agent(model: Scripted, tools: list, name: str):
    async def think(state: MessagesState) -> dict:
        return {"messages": [await model.bind_tools(tools).ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node(think).add_node("tools", ToolNode(tools))
    builder.add_edge("__start__", "think").add_conditional_edges("think", tools_condition).add_edge("tools", "think")
    return builder.compile(name=name)


builder = StateGraph(MessagesState)
builder.add_node(
    "supervisor", agent(Scripted(tool="ask_expert", says="asked"), [ask_expert], "supervisor"), destinations=("expert",)
)
builder.add_node("expert", agent(Scripted(tool="look_up", says="it is known"), [look_up], "expert"))
builder.add_edge("__start__", "supervisor").add_edge("expert", END)
graph = builder.compile()
