from langchain_core.runnables import RunnableConfig
from langgraph.graph import MessagesState, StateGraph

from src.config import MODELS


def make_lead_agent(config: RunnableConfig):
    model = config.get("configurable", {}).get("model_name") or MODELS[0]

    async def think(state: MessagesState) -> dict:
        return {"messages": [("ai", f"{model} heard {state['messages'][-1].content}")]}

    return StateGraph(MessagesState).add_node(think).add_edge("__start__", "think").compile(name="lead")
