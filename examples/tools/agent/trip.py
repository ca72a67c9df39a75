"""An agent that asks a tool for a price, by MCP, and has another agent book a flight, by A2A.

A step may be done again after a crash. Asking for a price twice does no harm; booking twice would. So the message to
the other agent has an id that is made of the step: the same message again is the same task there.
"""

import os
import sys
from pathlib import Path
from typing import TypedDict

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import Message, Part, Role, SendMessageRequest
from agent.effects import leave
from langchain_core.runnables import RunnableConfig
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.graph import START, StateGraph

_PRICES = Path(__file__).parent / "prices.py"
_BOOKING_URL = os.environ.get("BOOKING_URL") or os.environ.get("RELAYRUN_API_URL") or "http://localhost:8000"
_CARD = "/.well-known/agent-card.json?assistant_id=booking"


class Trip(TypedDict, total=False):
    """Where to, for how much, and what became of it."""

    city: str
    price: str
    task: str
    answer: str


async def quote(state: Trip) -> Trip:
    """Ask the tool."""
    server = {"transport": "stdio", "command": sys.executable, "args": [str(_PRICES)], "env": {**os.environ}}
    [tool] = await MultiServerMCPClient({"prices": server}).get_tools()
    [block] = await tool.ainvoke({"city": state["city"]})
    return {"price": block["text"]}


async def book(state: Trip, config: RunnableConfig) -> Trip:
    """Call the other agent, and wait for it."""
    # The same when the step is done again after a crash, and no other step's.
    message_id = config["configurable"]["checkpoint_ns"]
    text = f"a flight to {state['city']} for {state['price']} EUR"
    said = Message(message_id=message_id, role=Role.ROLE_USER, parts=[Part(text=text)])
    async with httpx.AsyncClient(timeout=120) as http:
        card = await A2ACardResolver(http, _BOOKING_URL, agent_card_path=_CARD).get_agent_card()
        client = ClientFactory(ClientConfig(httpx_client=http, streaming=False)).create(card)
        [event] = [event async for event in client.send_message(SendMessageRequest(message=said))]
    answer = "".join(part.text for artifact in event.task.artifacts for part in artifact.parts)
    return {"task": event.task.id, "answer": answer}


async def confirm(state: Trip) -> Trip:
    """Tell the customer."""
    await leave(f"confirm {state['answer']}")
    return {}


builder = StateGraph(Trip)
builder.add_sequence([quote, book, confirm])
graph = builder.add_edge(START, "quote").compile()
