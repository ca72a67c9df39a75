"""Graphs and their default assistants, as runners have registered them. Kept for a few seconds."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from relayrun_api.errors import AssistantNotFound, Invalid, RunnersAway
from relayrun_core.database import Database
from relayrun_core.ids import default_assistant_id
from relayrun_core.store.graphs import GraphRow, list_graphs

_FRESH_SECONDS = 5.0
# An unknown name may be a graph that was registered just now; a client that repeats it must not become load.
_LOOK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Assistant:
    """A graph's default assistant. `name` is the graph's, with its agent's in front where two agents share it."""

    assistant_id: UUID
    name: str
    graph: GraphRow

    @property
    def takes_messages(self) -> bool:
        """Whether its input has `messages`; a graph without a schema may."""
        schema = self.graph.schemas.get("input") or self.graph.schemas.get("state")
        return not schema or "messages" in _properties(schema)

    @property
    def takes_context(self) -> bool:
        """Whether it declares a context schema."""
        return bool(self.graph.schemas.get("context"))


class GraphCatalog:
    """Looks assistants up by id or by graph name."""

    def __init__(
        self,
        database: Database,
        default_graph: str | None = None,
        *,
        agents: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        """`agents`: those there are, where graphs of others are not offered any more; None: not known."""
        self._database = database
        self._agents = agents
        self._default_graph = default_graph
        self._assistants: dict[str, Assistant] = {}
        self._read_at = -_FRESH_SECONDS
        self._reading = asyncio.Lock()

    async def all(self) -> list[Assistant]:
        """Every graph's default assistant, each once."""
        await self._refresh(_FRESH_SECONDS)
        return list({assistant.assistant_id: assistant for assistant in self._assistants.values()}.values())

    async def find(self, name: str) -> Assistant | None:
        """The assistant with this id or graph name."""
        await self._refresh(_FRESH_SECONDS)
        if name not in self._assistants:
            await self._refresh(_LOOK_AGAIN_SECONDS)
        return self._assistants.get(name)

    async def get(self, name: str) -> Assistant:
        """As `find`. Raises AssistantNotFound (404)."""
        if assistant := await self.find(name):
            return assistant
        raise AssistantNotFound(f"There is no assistant {name!r}: {await self._choices()}")

    async def to_run(self, name: str) -> Assistant:
        """As `find`, for a run to be started. Raises Invalid (422), as langgraph-api does, or RunnersAway."""
        if assistant := await self.find(name):
            return assistant
        await self._some_or_later()
        raise Invalid(f"There is no assistant or graph {name!r}: {await self._choices()}")

    async def default(self) -> Assistant:
        """The one for who names none: the only graph, else the setting `default_graph`. Raises Invalid, RunnersAway."""
        assistants = await self.all()
        if len(assistants) == 1:
            return assistants[0]
        if self._default_graph is not None:
            return await self.to_run(self._default_graph)
        await self._some_or_later()
        raise Invalid(f"Name an `assistant_id`: {await self._choices()}")

    async def _some_or_later(self) -> None:
        """An installation that just starts has no graph yet: nothing is wrong with the request."""
        if not await self.all():
            raise RunnersAway(
                "No runner has registered a graph yet: try again in a moment.", headers={"Retry-After": "1"}
            )

    async def _choices(self) -> str:
        names = sorted(assistant.name for assistant in await self.all())
        if not names:
            return "no runner has registered a graph yet, look at /status."
        return f"use one of {', '.join(names)}."

    async def _refresh(self, older_than_seconds: float) -> None:
        # One reads, and whoever comes meanwhile waits: before the first reading nothing is known of any graph.
        async with self._reading:
            now = time.monotonic()
            if now - self._read_at < older_than_seconds:
                return
            rows, agents = await list_graphs(self._database), self._agents()
            self._assistants = _by_every_name([row for row in rows if agents is None or row.agent in agents])
            self._read_at = now


def _by_every_name(rows: list[GraphRow]) -> dict[str, Assistant]:
    shared = {graph for graph, count in Counter(row.graph for row in rows).items() if count > 1}
    found: dict[str, Assistant] = {}
    for row in rows:
        full = f"{row.agent}/{row.graph}"
        name = full if row.graph in shared else row.graph
        assistant = Assistant(default_assistant_id(name), name, row)
        found |= {name: assistant, full: assistant, str(assistant.assistant_id): assistant}
    return found


def _properties(schema: dict[str, object]) -> dict[str, object]:
    properties = schema.get("properties")
    if isinstance(properties, dict):
        return properties
    # A root model's schema says where it is.
    reference, definitions = schema.get("$ref"), schema.get("$defs")
    if isinstance(reference, str) and isinstance(definitions, dict):
        target = definitions.get(reference.rsplit("/", 1)[-1])
        if isinstance(target, dict):
            return _properties(target)
    return {}
