"""Agents: which there are, what they offer, and how much they have to do."""

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from starlette.responses import Response

from relayrun_api.assistants import permissions
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.responses import Json
from relayrun_api.services import Given
from relayrun_core.db.agents import indexed_agents, list_graphs
from relayrun_core.db.queue import AgentLoad, load_by_agent

router = Router("agents")


@dataclass
class AgentGraph:
    """A graph of an agent. `own_name`: what its author calls it, where that is something else."""

    graph: str
    description: str | None
    own_name: str | None


@dataclass
class Agent:
    """An agent as its newest build registered it. `indexed`: its long-term memory is searched by meaning; `pending`
    and `running`: everybody's runs.
    """

    __pydantic_config__ = things.example(
        agent="default",
        build="1f3a",
        registered_at=things.BEGAN,
        graphs=[{"graph": "agent", "description": None, "own_name": None}],
        indexed=False,
        pending=0,
        running=1,
    )

    agent: str
    build: str
    registered_at: datetime
    graphs: list[AgentGraph]
    indexed: bool
    pending: int
    running: int


@router.get(
    "/agents",
    operation_id="list_agents",
    description="Each with the graphs of its newest build. A graph's drawing and schemas are its assistant's.",
    permission=permissions.list_agents,
    answer=list[Agent],
)
async def listing(services: Given) -> Response:
    """List agents."""
    indexed = await indexed_agents(services.database)
    loads = {load.agent: load for load in await load_by_agent(services.database)}
    agents = []
    for name, rows in groupby(await list_graphs(services.database), attrgetter("agent")):
        graphs = list(rows)
        load = loads.get(name, AgentLoad(name, 0, 0, None))
        agents.append(
            Agent(
                agent=name,
                build=graphs[0].build,
                registered_at=max(row.registered_at for row in graphs),
                graphs=[AgentGraph(row.graph, row.description, row.own_name) for row in graphs],
                indexed=name in indexed,
                pending=load.queued,
                running=load.running,
            )
        )
    return Json(agents)
