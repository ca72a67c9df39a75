"""An agent that asks before it calls a tool, in the words that agent-chat-ui understands (the Agent Inbox's schema).

```
 START ─▶ model ─┬─ no tool call ─▶ END
            ▲    └─ a tool call ──▶ review
            └───────────────────────┘
```
"""

from __future__ import annotations

import os

from langchain_core.messages import AIMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

_TOOL = {
    "type": "function",
    "function": {
        "name": "refund",
        "description": "Refund an order.",
        "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
    },
}
_model = ChatOpenAI(model=os.environ["CHAT_MODEL"]).bind_tools([_TOOL])


async def model(state: MessagesState) -> MessagesState:
    """Speak, token by token, or call the tool."""
    return {"messages": [await _model.ainvoke(state["messages"])]}


def review(state: MessagesState) -> MessagesState:
    """A person accepts the call, edits it, or says something instead."""
    said = state["messages"][-1]
    assert isinstance(said, AIMessage)
    call = said.tool_calls[0]
    [answer] = interrupt(
        [
            {
                "action_request": {"action": call["name"], "args": call["args"]},
                "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": False},
                "description": "May this order be refunded?",
            }
        ]
    )
    match answer["type"]:
        case "accept":
            result = f"refunded {call['args']['order']}"
        case "edit":
            result = f"refunded {answer['args']['args']['order']}"
        case _:
            result = f"not refunded: {answer['args']}"
    return {"messages": [ToolMessage(result, tool_call_id=call["id"])]}


def after_the_model(state: MessagesState) -> str:
    said = state["messages"][-1]
    return "review" if isinstance(said, AIMessage) and said.tool_calls else END


graph = (
    StateGraph(MessagesState)
    .add_node("model", model)
    .add_node("review", review)
    .add_edge(START, "model")
    .add_conditional_edges("model", after_the_model, ["review", END])
    .add_edge("review", "model")
    .compile()
)
