from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from deep_notes.state import Report, ReportInput, ReportOutput, Section

from . import planning


class SectionState(Report, total=False):
    section: Section


class Written(TypedDict):
    done: list[Section]


async def write(state: SectionState) -> dict:
    return {"done": [state["section"].model_copy(update={"words": len(state["section"].name)})]}


def gather(state: Report) -> dict:
    return {"report": "; ".join(f"{s.name}: {s.words}" for s in sorted(state["done"], key=lambda s: s.name))}


def each(state: Report) -> list[Send]:
    return [Send("write", {"section": section}) for section in state["plan"].sections]


section = (
    StateGraph(SectionState, output_schema=Written)
    .add_node(write)
    .add_edge(START, "write")
    .add_edge("write", END)
    .compile()
)
builder = StateGraph(Report, input_schema=ReportInput, output_schema=ReportOutput)
builder.add_node("plan", planning.graph)
builder.add_node("write", section, input_schema=SectionState)
builder.add_node(gather)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", each, ["write"])
builder.add_edge("write", "gather")
builder.add_edge("gather", END)
graph = builder.compile()
