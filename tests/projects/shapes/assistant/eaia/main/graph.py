from typing import Literal, TypedDict

from langgraph.graph import END, StateGraph
from langgraph.types import Command, interrupt


class State(TypedDict, total=False):
    email: str
    sent: str


def triage(state: State) -> Command[Literal["draft", "__end__"]]:
    return Command(goto="draft" if "?" in state["email"] else END)


def draft(state: State) -> State:
    request = {"action_request": {"action": "send", "args": {"text": f"Re: {state['email']}"}}}
    [answer] = interrupt([{**request, "config": {"allow_accept": True, "allow_edit": True}, "description": "Send?"}])
    return {"sent": answer["args"]["args"]["text"] if answer["type"] == "edit" else "nothing"}


graph = StateGraph(State).add_node(triage).add_node(draft).add_edge("__start__", "triage").compile()
