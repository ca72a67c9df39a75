from typing import Annotated, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph import END, StateGraph, add_messages
from langgraph.runtime import Runtime

from memory_agent.context import Context


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def call_model(state: State, runtime: Runtime[Context]) -> dict:
    space = ("memories", runtime.context.user_id)
    said = str(state["messages"][-1].content)
    found = await runtime.store.asearch(space, query=said, limit=1)
    await runtime.store.aput(space, said, {"text": said})
    known = found[0].value["text"] if found else "nothing"
    return {"messages": [{"role": "ai", "content": f"{runtime.context.name} knows {known}"}]}


builder = StateGraph(State, context_schema=Context).add_node(call_model)
graph = builder.add_edge("__start__", "call_model").add_edge("call_model", END).compile()
graph.name = "MemoryAgent"
