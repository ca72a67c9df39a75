from common.state import Ticket
from langgraph.graph import StateGraph


def bill(state: Ticket) -> Ticket:
    return {"answer": "paid"}


graph = StateGraph(Ticket).add_node(bill).add_edge("__start__", "bill")
