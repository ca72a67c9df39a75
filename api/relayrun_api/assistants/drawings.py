"""Drawings of graphs: from a runner, with the assistant's config; else as they were registered."""

from typing import Any

import orjson

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.assistants.models import GraphSchemas, SubgraphSchemas
from relayrun_api.http.errors import NotFound, RunnersAway
from relayrun_api.runners.client import Runners


class DrawingService:
    """Draws assistants' graphs, and tells their JSON schemas. Raises Invalid for a config that the graph refuses."""

    def __init__(self, runners: Runners) -> None:
        self._runners = runners

    async def drawing(self, assistant: Assistant, xray: bool | int) -> Any:
        """Nodes and edges; `xray`: with subgraphs unfolded, all or to this depth. Raises RunnersAway for a depth."""
        try:
            return await self._ask(assistant, what="drawing", xray=xray)
        except (RunnersAway, NotFound):
            if not isinstance(xray, bool):
                raise
            return _registered(assistant, "xray" if xray else "graph") or {"nodes": [], "edges": []}

    async def schemas(self, assistant: Assistant) -> GraphSchemas:
        """The graph's schemas."""
        try:
            schemas = await self._ask(assistant, what="schemas")
        except (RunnersAway, NotFound):
            schemas = assistant.graph.schemas if assistant.graph else {}
        return GraphSchemas.of(schemas, graph_id=assistant.graph_id)

    async def subgraphs(
        self, assistant: Assistant, namespace: str | None, *, recurse: bool
    ) -> dict[str, SubgraphSchemas]:
        """The schemas of the graph's subgraphs by namespace, of one of them where `namespace` names it."""
        try:
            found = await self._ask(assistant, what="subgraphs", namespace=namespace, recurse=recurse)
        except (RunnersAway, NotFound):
            registered = _registered(assistant, "subgraphs")
            found = {name: registered[name] for name in registered if _meant(name, namespace, recurse)}
        return {name: SubgraphSchemas.of(schemas) for name, schemas in found.items()}

    async def _ask(self, assistant: Assistant, **question: Any) -> Any:
        row = assistant.row
        body = {"graph": row.graph, "config": row.config, **question}
        return orjson.loads(await self._runners.ask(row.agent, row.graph, "POST", "/describe", body=body))


def _registered(assistant: Assistant, part: str) -> dict[str, Any]:
    return (assistant.graph.drawing.get(part) if assistant.graph else None) or {}


def _meant(name: str, namespace: str | None, recurse: bool) -> bool:
    return (recurse or "|" not in name) and namespace in (None, name)
