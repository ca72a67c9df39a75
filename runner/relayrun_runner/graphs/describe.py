"""Describes graphs: their JSON schemas, subgraphs and drawings.

The API has no agent code. What it knows of a graph is written to the database at start; for an assistant, whose config
may make another graph of a factory, and for what there is in many forms, it asks.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints, is_typeddict

from langchain_core.runnables.graph import Graph as DrawableGraph
from langgraph.pregel import Pregel
from pydantic import BaseModel, ConfigDict, Field, create_model

from relayrun_core.database import Database
from relayrun_core.db.agents import NewGraph
from relayrun_core.db.agents import register_graphs as store_graphs
from relayrun_core.runner_requests import CustomHttp
from relayrun_core.runs import without_claims
from relayrun_runner.author_errors import class_of, error_text, is_cancelled, safely
from relayrun_runner.errors import InvalidState, RunnerError
from relayrun_runner.graphs.loading import Graph, GraphRegistry, durability_notes
from relayrun_runner.graphs.serialize import dumps

log = logging.getLogger("relayrun.runner")

Schema = dict[str, Any] | None


@dataclass(frozen=True)
class GraphDescription:
    """A graph's schemas, by input, output, state, config and context, and its drawing.

    A schema is None where LangGraph cannot make one. `drawing` has `graph` (nodes and edges as in `GET
    /assistants/{id}/graph`), `xray` (the same with subgraphs unfolded), `mermaid`, and `subgraphs`: the schemas of
    each, by namespace.
    """

    schemas: dict[str, Schema]
    drawing: dict[str, Any]


async def register_graphs(
    registry: GraphRegistry, database: Database, *, agent: str, build: str, http: CustomHttp
) -> None:
    """Describe every graph in the database, all at once. One that cannot be described is registered without schemas.

    Raises what the database raises.
    """
    described = []
    for name in registry.names:
        if name in registry.failures:
            continue
        found = await _describe_or_warn(registry, name)
        described.append(
            NewGraph(
                name,
                found.schemas,
                found.drawing,
                registry.description(name),
                http,
                registry.own_name(name),
                registry.default_config(name),
            )
        )
    await store_graphs(database, described, agent=agent, build=build)


class GraphQuestion(BaseModel):
    """What to tell of a graph, as it is for an assistant with this config.

    `xray`: unfold subgraphs, all or to this depth. `namespace`: of this subgraph alone. `recurse`: also what is inside.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    graph: str
    what: Literal["drawing", "schemas", "subgraphs"]
    config: dict[str, Any] = Field(default_factory=dict)
    xray: bool | int = False
    namespace: str | None = None
    recurse: bool = False


class GraphDescriber:
    """Answers questions about graphs, as JSON. Lives on the graphs' loop."""

    def __init__(self, registry: GraphRegistry) -> None:
        self._registry = registry

    async def answer(self, question: GraphQuestion) -> bytes:
        """A drawing, schemas by kind, or those of each subgraph by namespace.

        Raises UnknownGraph, GraphLoadError, and InvalidState where the author's code refuses this config.
        """
        configurable = without_claims(question.config.get("configurable") or {})
        config: Any = {**question.config, "configurable": configurable}
        try:
            async with self._registry.open(question.graph, config, access="assistants.read") as graph:
                return dumps(await _answer(graph, question))
        except RunnerError:
            raise
        except BaseException as error:
            if is_cancelled(error):
                raise
            log.info("graph %s cannot be described with an assistant's config", question.graph, exc_info=error)
            why = safely(error.__repr__, class_of(error))
            raise InvalidState(f"graph {question.graph} cannot be described with this config: {why}") from error


async def _answer(graph: Graph, question: GraphQuestion) -> Any:
    match question.what:
        case "drawing":
            return _drawing(await graph.aget_graph(xray=question.xray))
        case "schemas":
            return schemas_of(graph)
        case "subgraphs":
            found = graph.aget_subgraphs(namespace=question.namespace, recurse=question.recurse)
            return {name: schemas_of(subgraph) async for name, subgraph in found if isinstance(subgraph, Pregel)}


async def _describe_or_warn(registry: GraphRegistry, name: str) -> GraphDescription:
    try:
        async with registry.open(name, {"configurable": {}}, access="assistants.read") as graph:
            if registry.is_made_per_run(name):
                for note in durability_notes(graph):
                    log.log(note.level, "graph %s: %s", name, note.text)
            return describe(graph)
    except BaseException as error:  # a factory may need a run's config; that is no reason not to serve it
        if is_cancelled(error):
            raise
        log.warning("graph %s has no schemas: its factory failed without a run's config: %s", name, error_text(error))
        return GraphDescription({}, {})


def describe(graph: Graph) -> GraphDescription:
    """A compiled graph's schemas and drawing; whatever LangGraph cannot say is None."""
    found = dict(graph.get_subgraphs(recurse=True))
    subgraphs = {
        namespace: schemas_of(subgraph) for namespace, subgraph in found.items() if isinstance(subgraph, Pregel)
    }
    drawing: dict[str, Any] = {}
    mermaid = None
    drawn = _attempt("drawing", graph, graph.get_graph)
    if drawn is not None:
        drawing = _attempt("drawing", graph, lambda: _drawing(drawn)) or {}
        mermaid = _attempt("drawing", graph, drawn.draw_mermaid)
    xray = drawing
    if found:
        xray = _attempt("drawing of subgraphs", graph, lambda: _drawing(graph.get_graph(xray=True))) or {}
    return GraphDescription(
        schemas_of(graph), {"graph": drawing, "xray": xray, "mermaid": mermaid, "subgraphs": subgraphs}
    )


def _drawing(graph: DrawableGraph) -> dict[str, Any]:
    drawing: dict[str, Any] = graph.to_json()
    for node in drawing["nodes"]:
        if isinstance(node.get("data"), dict):
            node["data"].pop("id", None)  # the Python path of a class: the Agent Server does not tell it either
    return drawing


def schemas_of(graph: Graph) -> dict[str, Schema]:
    """The five JSON schemas of a graph, or None for one that cannot be made."""
    own: dict[Any, dict[str, Any]] = {}  # mostly one type for both
    return {
        "input": _attempt("input schema", graph, lambda: _own_schema(graph, "input", own)),
        "output": _attempt("output schema", graph, lambda: _own_schema(graph, "output", own)),
        "state": _attempt("state schema", graph, lambda: _state_schema(graph)),
        "config": _attempt("config schema", graph, lambda: _config_schema(graph)),
        "context": _attempt("context schema", graph, graph.get_context_jsonschema),
    }


def _own_schema(graph: Graph, side: Literal["input", "output"], known: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        return graph.get_input_jsonschema() if side == "input" else graph.get_output_jsonschema()
    except BaseException:
        # Before Python 3.12 pydantic refuses typing.TypedDict, which is what most authors write.
        author_type: Any = getattr(getattr(graph, "builder", None), f"{side}_schema", None)
        if not is_typeddict(author_type):
            raise
        if author_type not in known:
            known[author_type] = _schema(author_type.__name__, get_type_hints(author_type))
        return known[author_type]


def _state_schema(graph: Graph) -> dict[str, Any]:
    kinds = {name: getattr(graph.channels[name], "UpdateType", Any) for name in graph.stream_channels_list}
    return _schema(graph.get_name("state"), kinds)


def _schema(name: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _schema_of_all(name, kinds)
    except BaseException:  # noqa: BLE001 - pydantic raises whatever an author's type raises
        # One field of a type without a schema must not cost the whole state's.
        return _schema_of_all(name, {field: kind if _has_schema(kind) else Any for field, kind in kinds.items()})


def _schema_of_all(name: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {field: (kind, None) for field, kind in kinds.items()}
    return dict(create_model(name, **fields).model_json_schema())


def _has_schema(kind: Any) -> bool:
    try:
        _schema_of_all("Probe", {"value": kind})
    except BaseException:  # noqa: BLE001 - pydantic raises whatever an author's type raises
        return False
    return True


def _config_schema(graph: Graph) -> dict[str, Any]:
    # Deprecated in LangGraph for the context schema; clients still ask for it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = graph.get_config_jsonschema()
    configurable, definitions = schema.get("properties", {}).get("configurable"), dict(schema.get("$defs", {}))
    if not isinstance(configurable, dict):
        return {}
    if "$ref" in configurable:
        # As the Agent Server tells it: the type itself, and not where it stands.
        configurable = definitions.pop(configurable["$ref"].rsplit("/", 1)[-1])
    return {**configurable, "$defs": definitions} if definitions else configurable


def _attempt(what: str, graph: Graph, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except BaseException as error:  # noqa: BLE001 - author types in schemas may raise anything
        log.info("graph %s has no %s: %s", graph.name, what, error_text(error))
        return None
