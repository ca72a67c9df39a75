"""The graphs of an agent: loaded once from its `langgraph.json`, opened for each run."""

import inspect
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

from relayrun_core.db.heads import made_by
from relayrun_runner.author_errors import compact, error_text, is_cancelled, text_of
from relayrun_runner.config.environment import prepare_environment, remarks
from relayrun_runner.config.load import default_configs
from relayrun_runner.config.model import Config, GraphSource
from relayrun_runner.errors import GraphLoadError, UnknownGraph
from relayrun_runner.graphs.factories import Access, Call, Factory, NotAGraph, compiled, factory
from relayrun_runner.graphs.imports import ObjectNotFound, load_object
from relayrun_runner.graphs.serde import make_serializer
from relayrun_runner.graphs.user_context import with_current_user

log = logging.getLogger("relayrun.runner")

Graph = Pregel[Any, Any, Any, Any]
# What LangGraph calls a graph whose author gave no name.
_UNNAMED = "LangGraph"


@dataclass(frozen=True)
class GraphFailure:
    """A graph that did not load: one sentence, and the author's traceback, if it is theirs."""

    graph: str
    message: str
    traceback: str | None


class GraphRegistry:
    """An agent's graphs by name.

    `load` imports author code and belongs before the event loop runs; `running` calls the factories whose graph is the
    same for every run, on the loop, and keeps open what they opened.
    """

    def __init__(self, config: Config, agent: str = "", build: str = "") -> None:
        """`agent`, `build`: whose graphs these are."""
        self.config = config
        #: For every saver of these graphs' checkpoints; None: LangGraph's own choice.
        self.serializer = make_serializer(config.serde)
        self._agent, self._build = agent, build
        # Given to factories; the store of the runs.
        self._store: BaseStore | None = None
        self.failures: dict[str, GraphFailure] = {}
        self._defaults = default_configs(config)
        self._graphs: dict[str, Graph] = {}
        self._factories: dict[str, Factory] = {}

    @classmethod
    def load(cls, config: Config, *, in_dev: bool = False, agent: str = "", build: str = "") -> "GraphRegistry":
        """Import every graph. A graph that fails is in `failures`; nothing is raised.

        `in_dev`: `relayrun dev` tells what there is to say about langgraph.json, and `env` wins over the environment.
        """
        for sentence in () if in_dev else (*config.warnings, *remarks(config)):
            log.warning("%s", sentence)
        prepare_environment(config, env_wins=in_dev)
        registry = cls(config, agent, build)
        for name, source in config.graphs.items():
            try:
                registry._load(name, source)
            except BaseException as error:  # noqa: BLE001 - author code may raise anything; it is reported
                registry._failed(name, error)
        return registry

    @property
    def names(self) -> list[str]:
        """The graphs that `langgraph.json` names, in its order, also those that failed."""
        return list(self.config.graphs)

    def description(self, name: str) -> str | None:
        """What `langgraph.json` says about a graph."""
        return self.config.graphs[name].description

    def own_name(self, name: str) -> str | None:
        """The name that the author gave a graph that is the same for all runs."""
        own = self._graphs[name].name if name in self._graphs else name
        return own if own != name else None

    def default_config(self, name: str) -> dict[str, Any]:
        """The config of the graph's default assistant."""
        return self._defaults.get(name, {})

    def is_made_per_run(self, name: str) -> bool:
        """Whether a factory of the author makes this graph anew for each run."""
        return name in self._factories and self._factories[name].per_run

    def maker_of(self, name: str) -> str | None:
        """Who says what a graph's states are; None for one that is made anew for each question."""
        return None if self.is_made_per_run(name) else made_by(self._agent, name, self._build)

    @asynccontextmanager
    async def running(self, store: BaseStore | None = None) -> AsyncIterator[None]:
        """Make the graphs that all runs share, and close what they opened at the end. Factories get `store`."""
        self._store = store
        async with AsyncExitStack() as stack:
            for name, maker in list(self._factories.items()):
                if maker.per_run:
                    continue
                try:
                    graph = await stack.enter_async_context(maker.open(Call({}, "threads.create_run", self._store)))
                    self._keep(name, graph)
                except BaseException as error:
                    if is_cancelled(error):
                        raise
                    self._failed(name, error)
            yield

    @asynccontextmanager
    async def open(
        self,
        name: str,
        config: RunnableConfig | None = None,
        *,
        access: Access = "threads.create_run",
        context: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Graph]:
        """The compiled graph for one run, or for one question about a thread's state.

        Raises UnknownGraph; GraphLoadError for a graph that failed to load; what a factory itself raises.
        """
        if name in self.failures:
            raise GraphLoadError(name, self.failures[name].message)
        if name in self._graphs:
            yield self._graphs[name]
        elif name in self._factories:
            asked = (config or {}) if access == "threads.create_run" else with_current_user(config or {})
            call = Call(asked, access, self._store, context)
            async with self._factories[name].open(call) as graph:
                yield self._named(name, graph)
        else:
            raise UnknownGraph(f"this agent has no graph {name!r}; it has {', '.join(self.names)}")

    def _load(self, name: str, source: GraphSource) -> None:
        value = load_object(self.config, source.path)
        if isinstance(value, (Pregel, StateGraph)):
            self._keep(name, compiled(value))
        elif callable(value) and not inspect.isclass(value):
            self._factories[name] = factory(value)
        else:
            raise NotAGraph(f"it is a {type(value).__name__}, neither a graph nor a function that makes one")

    def _keep(self, name: str, graph: Graph) -> None:
        self._graphs[name] = self._named(name, graph)
        for sentence in durability_notes(graph):
            log.log(sentence.level, "graph %s: %s", name, sentence.text)

    def _named(self, name: str, graph: Graph) -> Graph:
        # As the Agent Server does: schemas, traces and runs bear the graph's own name, or the one that clients use.
        return graph.copy({"name": name}) if graph.name == _UNNAMED else graph

    def _failed(self, name: str, error: BaseException) -> None:
        source = self.config.graphs[name].path
        ours = isinstance(error, (ObjectNotFound, NotAGraph))
        message = f"{source} did not load: {text_of(error) if ours else error_text(error)}"
        self.failures[name] = GraphFailure(name, message, None if ours else compact(error))


@dataclass(frozen=True)
class Note:
    """Something to say once about a graph, at a logging level."""

    level: int
    text: str


def durability_notes(graph: Graph) -> list[Note]:
    """What to tell the author about the checkpointers that a graph was compiled with."""
    notes = []
    if isinstance(graph.checkpointer, BaseCheckpointSaver):
        kind = type(graph.checkpointer).__name__
        notes.append(Note(logging.INFO, f"compiled with its own {kind}; Relayrun's checkpoints replace it"))
    for node, subgraph in graph.get_subgraphs(recurse=True):
        saver = getattr(subgraph, "checkpointer", None)
        if isinstance(saver, BaseCheckpointSaver):
            text = (
                f"the subgraph of node {node} is compiled with its own {type(saver).__name__}: what is saved there is"
                " not durable and not fenced; compile it without a checkpointer"
            )
            notes.append(Note(logging.WARNING, text))
    return notes
