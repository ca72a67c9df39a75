import os
from pathlib import Path

from common.state import Ticket
from langgraph.graph import StateGraph

# From where the server was started, as many projects do.
PROMPT = Path("prompts/answer.txt").read_text().strip()


def answer(state: Ticket) -> Ticket:
    return {"answer": PROMPT.format(shop=os.environ["SHOP"], text=state["text"])}


graph = StateGraph(Ticket).add_node(answer).add_edge("__start__", "answer")
