from langchain_core.runnables import RunnableConfig
from langgraph.graph import MessagesState, StateGraph

NAME = "react agent"


async def answer(state: MessagesState, config: RunnableConfig) -> dict:
    user = config["configurable"]["langgraph_auth_user"]
    return {"messages": [("ai", f"{user['identity']} likes {user['favourite']}")]}


graph = StateGraph(MessagesState).add_node(answer).add_edge("__start__", "answer").compile()
