from langgraph.graph import END, START, StateGraph

from .state import Plan, Report, ReportInput, Section


async def plan(state: Report) -> dict:
    return {"plan": Plan(sections=[Section(name=f"{state['topic']} {n}") for n in ("past", "present")])}


graph = (
    StateGraph(Report, input_schema=ReportInput).add_node(plan).add_edge(START, "plan").add_edge("plan", END).compile()
)
