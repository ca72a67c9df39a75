"""An author's handlers for authentication and authorization, asked through a runner of their agent."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from relayrun_api.http.errors import NotFound, RunnersAway
from relayrun_api.runners.client import Runners
from relayrun_api.runners.graphs import GraphCatalog

# Longer than a runner lets handlers take, and not much: a runner that is frozen says nothing.
_LIMIT_SECONDS = 8.0
# Runners of another build may have other graphs; whoever has waited so long is not made to wait for all of them.
_PATIENCE_SECONDS = 1.0
_AGAIN = {"Retry-After": "1"}


class AuthorHandlers:
    """Those of one agent. That there is none to ask is never an answer."""

    def __init__(self, runners: Runners, catalog: GraphCatalog, agent: str | None) -> None:
        """`agent`: whose, where there are several."""
        self._runners = runners
        self._catalog = catalog
        self._agent = agent
        self._answered: str | None = None

    async def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the handlers answer. Raises RunnersAway."""
        agent, graphs = await self._place()
        began = time.monotonic()
        for graph in sorted(graphs, key=lambda graph: graph != self._answered):
            try:
                answer = await self._runners.ask(agent, graph, "POST", "/auth", body=question, seconds=_LIMIT_SECONDS)
            except NotFound:
                detail = f"Agent {agent} says who may call, and its langgraph.json has no `auth`: add it."
                raise RunnersAway(detail, headers=_AGAIN) from None
            except RunnersAway:
                if time.monotonic() - began > _PATIENCE_SECONDS:
                    break
                continue
            self._answered = graph
            parsed: dict[str, Any] = orjson.loads(answer)
            return parsed
        raise RunnersAway(
            f"No runner of agent {agent}, which authenticates callers, is available: try again in a moment.",
            headers=_AGAIN,
        )

    async def _place(self) -> tuple[str, Sequence[str]]:
        """The agent, and its graphs."""
        graphs = {name: [row.graph for row in rows] for name, rows in (await self._catalog.by_agent()).items()}
        agent = self._agent or (next(iter(graphs)) if len(graphs) == 1 else None)
        if agent is None and graphs:
            raise RunnersAway(
                "There are several agents: set RELAYRUN_AUTH_AGENT to the one that authenticates callers."
            )
        if agent is None or agent not in graphs:
            detail = "No runner that says who may call has been ready yet: try again in a moment."
            raise RunnersAway(detail, headers=_AGAIN)
        return agent, graphs[agent]
