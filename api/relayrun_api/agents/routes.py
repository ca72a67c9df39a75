"""Agents: which there are, what they offer, and how much they have to do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.responses import Response

from relayrun_api.assistants import permissions
from relayrun_api.auth import Caller, Principal
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.responses import Json
from relayrun_api.runners.pools import AgentCondition, AgentPool, Death
from relayrun_api.services import Given
from relayrun_core.db.agents import GraphRow, indexed_agents, list_graphs
from relayrun_core.db.queue import AgentLoad, load_by_agent, running_by_runner

router = Router("agents")


@dataclass
class AgentGraph:
    """A graph of an agent. `own_name`: what its author calls it, where that is something else."""

    graph: str
    description: str | None
    own_name: str | None


@dataclass
class AgentRunner:
    """A runner. `running`: runs that it executes; `restarts`: of the processes in its pod."""

    name: str
    state: str
    running: int
    slots: int | None
    generation: str | None
    restarts: int


@dataclass
class Agent:
    """An agent as its newest build registered it; without `build`, none has registered yet.

    `indexed`: its long-term memory is searched by meaning; `pending` and `running`: everybody's runs; `ready` and
    `desired`: its runners; `conditions`: of the Agent in a cluster. `runners`, `recent_deaths` and the conditions'
    `message` are for admins, and null for others.
    """

    __pydantic_config__ = things.example(
        agent="default",
        build="1f3a",
        registered_at=things.BEGAN,
        graphs=[{"graph": "agent", "description": None, "own_name": None}],
        indexed=False,
        pending=0,
        running=1,
        ready=1,
        desired=1,
        generation="0",
        conditions=[],
        runners=[
            {
                "name": "default-0-1",
                "state": "ready",
                "running": 1,
                "slots": 8,
                "generation": "0",
                "restarts": 0,
            }
        ],
        recent_deaths=[],
    )

    agent: str
    build: str | None
    registered_at: datetime | None
    graphs: list[AgentGraph]
    indexed: bool
    pending: int
    running: int
    ready: int | None
    desired: int | None
    generation: str | None
    conditions: list[AgentCondition]
    runners: list[AgentRunner] | None
    recent_deaths: list[Death] | None


@router.get(
    "/agents",
    operation_id="list_agents",
    description="Returns the agents with the graphs of their newest builds, and their runners.",
    permission=permissions.list_agents,
    answer=list[Agent],
)
async def listing(services: Given, caller: Caller) -> Response:
    """List agents."""
    indexed = await indexed_agents(services.database)
    loads = {load.agent: load for load in await load_by_agent(services.database)}
    busy = await running_by_runner(services.database) if caller.admin else {}
    graphs: dict[str, list[GraphRow]] = {}
    for row in await list_graphs(services.database):
        graphs.setdefault(row.agent, []).append(row)
    # An Agent that is gone has left its graphs; one whose runners never got up has none.
    there = services.runners.agents()
    agents = []
    for name in sorted(graphs if there is None else there):
        rows = graphs.get(name, [])
        load = loads.get(name, AgentLoad(name, 0, 0, None))
        pool = services.runners.pool(name)
        agents.append(
            Agent(
                agent=name,
                build=rows[0].build if rows else None,
                registered_at=max((row.registered_at for row in rows), default=None),
                graphs=[AgentGraph(row.graph, row.description, row.own_name) for row in rows],
                indexed=name in indexed,
                pending=load.queued,
                running=load.running,
                ready=pool.ready if pool else None,
                desired=pool.desired if pool else None,
                generation=pool.generation if pool else None,
                conditions=[_shown(condition, caller) for condition in pool.conditions] if pool else [],
                runners=_runners(name, pool, busy) if caller.admin else None,
                recent_deaths=list(pool.deaths if pool else ()) if caller.admin else None,
            )
        )
    return Json(agents)


def _shown(condition: AgentCondition, caller: Principal) -> AgentCondition:
    return condition if caller.admin else replace(condition, message=None)


def _runners(agent: str, pool: AgentPool | None, busy: Mapping[tuple[str, str], int]) -> list[AgentRunner]:
    return [
        AgentRunner(
            runner.name,
            runner.state,
            busy.get((agent, runner.name), 0),
            runner.slots,
            runner.generation,
            runner.restarts,
        )
        for runner in (pool.runners if pool else ())
    ]
