from typing import TypedDict

from langgraph.graph import StateGraph


class Found(TypedDict, total=False):
    change: str
    files: list[str]


async def look(state: Found) -> Found:
    return {"files": [f"{state['change']}.py"]}


graph = StateGraph(Found).add_node(look).add_edge("__start__", "look").compile()
