"""The agent of somebody who lives in the command line: it fails, asks, waits and talks as its input says."""

from __future__ import annotations

# Every node notes its name in `effects`. `risky` is in one step with `beside`, and waits until that one is done.
REFUND = """
import asyncio, operator
from pathlib import Path
from typing import Annotated, TypedDict
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    steps: Annotated[list[str], operator.add]
    how: str

def note(name):
    with (HERE / "effects").open("a") as file:
        file.write(name + "\\n")
    return {"steps": [name]}

async def first(state: State):
    print("how:", state.get("how"), "\\x1b[2J")
    return note("first")

async def beside(state: State):
    return note("beside")

async def risky(state: State):
    while "beside" not in (HERE / "effects").read_text():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # until what `beside` gave is saved
    told = note("risky")
    match state["how"]:
        case "fail":
            raise ValueError("no such order")
        case "ask":
            return {"steps": [f"told {interrupt('Refund?')}"]}
        case "ask, then fail":
            answer = interrupt("Refund?")
            raise ValueError("no such order")
        case "wait":
            while not (HERE / "go").exists():
                await asyncio.sleep(0.02)
    return told

async def last(state: State):
    get_stream_writer()("nearly there")
    return note("last")

builder = StateGraph(State)
for node in (first, beside, risky, last):
    builder.add_node(node)
builder.add_edge(START, "first")
builder.add_edge("first", "beside")
builder.add_edge("first", "risky")
builder.add_edge(["beside", "risky"], "last")
builder.add_edge("last", END)
refund = builder.compile()

def made(config):
    if (HERE / "broken").exists():
        raise RuntimeError("no connection to the shop")
    return refund

async def answer(state: MessagesState):
    model = GenericFakeChatModel(messages=iter([AIMessage("Hello \\u2028from \\u001b[31mafar")]))
    return {"messages": [await model.ainvoke(state["messages"])]}

talk = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()
"""
GRAPHS = ("refund", "made", "talk")
REPAIRED = REFUND.replace('raise ValueError("no such order")', 'return {"steps": [locals().get("answer", "repaired")]}')
