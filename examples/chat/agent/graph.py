"""The agent: a model that calls tools until it has an answer.

```
 START ─▶ model ─┬─ no tool calls ─▶ END
            ▲    └─ each call ─▶ tools
            └──────────────────────┘
```
"""

from __future__ import annotations

from langchain_core.messages import AIMessage, SystemMessage
from langchain_core.tools import ToolException
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

from .model import choose_model
from .tools import TOOLS

INSTRUCTIONS = SystemMessage(
    "You help the customers of a shop, briefly and kindly. Look an order up before you speak of it or refund it."
    " The tool `refund` asks a person for approval by itself: call it without asking the customer first."
)

_model = choose_model().bind_tools(TOOLS)


async def model(state: MessagesState) -> MessagesState:
    """Let the model speak, or call tools. Its tokens are streamed while it does."""
    return {"messages": [await _model.ainvoke([INSTRUCTIONS, *state["messages"]])]}


def to_the_tools(state: MessagesState) -> list[Send] | str:
    """Every call is a step of its own: what is finished is not done again when another one waits or crashes."""
    said = state["messages"][-1]
    calls = said.tool_calls if isinstance(said, AIMessage) else []
    return [Send("tools", [{**call, "type": "tool_call"}]) for call in calls] or END


def what_was_wrong(error: ToolException) -> str:
    """A wrong order or wrong arguments are for the model to correct; any other error ends the run."""
    return str(error)


tools = ToolNode(TOOLS, handle_tool_errors=what_was_wrong)

graph = (
    StateGraph(MessagesState)
    .add_node("model", model)
    .add_node("tools", tools)
    .add_edge(START, "model")
    .add_conditional_edges("model", to_the_tools, ["tools", END])
    .add_edge("tools", "model")
    .compile(name="chat")
)
