"""What a graph looks like from outside: its JSON schemas and its drawing, written to the database at start.

The API has no agent code, so this is all it knows of a graph.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints, is_typeddict

from langgraph.pregel import Pregel
from pydantic import create_model

from relayrun_core.database import Database
from relayrun_core.store.graphs import register_graph
from relayrun_runner.graphs import Graph, GraphRegistry, durability_notes

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


async def register_graphs(registry: GraphRegistry, database: Database, *, agent: str, build: str) -> None:
    """Describe every graph in the database. A graph that cannot be described is registered without schemas.

    Raises what the database raises.
    """
    for name in registry.names:
        if name in registry.failures:
            continue
        description = await _describe_or_warn(registry, name)
        await register_graph(
            database,
            agent=agent,
            graph=name,
            build=build,
            schemas=dict(description.schemas),
            drawing=description.drawing,
            description=registry.description(name),
        )


async def _describe_or_warn(registry: GraphRegistry, name: str) -> GraphDescription:
    try:
        async with registry.open(name, {"configurable": {}}, access="assistants.read") as graph:
            if registry.is_made_per_run(name):
                for note in durability_notes(graph):
                    log.log(note.level, "graph %s: %s", name, note.text)
            return describe(graph)
    except Exception as error:  # noqa: BLE001 - a factory may need a run's config; that is no reason not to serve it
        log.warning("graph %s has no schemas: its factory failed without a run's config: %r", name, error)
        return GraphDescription({}, {})


def describe(graph: Graph) -> GraphDescription:
    """A compiled graph's schemas and drawing; whatever LangGraph cannot say is None."""
    subgraphs = {
        namespace: schemas_of(subgraph)
        for namespace, subgraph in graph.get_subgraphs(recurse=True)
        if isinstance(subgraph, Pregel)
    }
    drawing = _attempt("drawing", graph, lambda: graph.get_graph().to_json()) or {}
    xray = _attempt("drawing of subgraphs", graph, lambda: graph.get_graph(xray=True).to_json()) or {}
    mermaid = _attempt("drawing", graph, lambda: graph.get_graph().draw_mermaid())
    return GraphDescription(
        schemas_of(graph), {"graph": drawing, "xray": xray, "mermaid": mermaid, "subgraphs": subgraphs}
    )


def schemas_of(graph: Graph) -> dict[str, Schema]:
    """The five JSON schemas of a graph, or None for one that cannot be made."""
    return {
        "input": _attempt("input schema", graph, lambda: _own_schema(graph, "input")),
        "output": _attempt("output schema", graph, lambda: _own_schema(graph, "output")),
        "state": _attempt("state schema", graph, lambda: _state_schema(graph)),
        "config": _attempt("config schema", graph, lambda: _config_schema(graph)),
        "context": _attempt("context schema", graph, graph.get_context_jsonschema),
    }


def _own_schema(graph: Graph, side: Literal["input", "output"]) -> dict[str, Any]:
    try:
        return graph.get_input_jsonschema() if side == "input" else graph.get_output_jsonschema()
    except Exception:
        # Before Python 3.12 pydantic refuses typing.TypedDict, which is what most authors write.
        author_type: Any = getattr(getattr(graph, "builder", None), f"{side}_schema", None)
        if not is_typeddict(author_type):
            raise
        return _schema(author_type.__name__, get_type_hints(author_type))


def _state_schema(graph: Graph) -> dict[str, Any]:
    kinds = {name: getattr(graph.channels[name], "UpdateType", Any) for name in graph.stream_channels_list}
    return _schema(graph.get_name("state"), kinds)


def _schema(name: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    # One field of a type without a schema must not cost the whole state's.
    fields: dict[str, Any] = {field: (kind if _has_schema(kind) else Any, None) for field, kind in kinds.items()}
    model = create_model(name, **fields)
    return dict(model.model_json_schema())


def _has_schema(kind: Any) -> bool:
    try:
        create_model("Probe", value=(kind, None)).model_json_schema()
    except Exception:  # noqa: BLE001 - pydantic raises whatever an author's type raises
        return False
    return True


def _config_schema(graph: Graph) -> dict[str, Any]:
    # Deprecated in LangGraph for the context schema; clients still ask for it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = graph.get_config_jsonschema()
    configurable = schema.get("properties", {}).get("configurable")
    return {**configurable, "$defs": schema.get("$defs", {})} if isinstance(configurable, dict) else {}


def _attempt(what: str, graph: Graph, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - author types in schemas may raise anything
        log.info("graph %s has no %s: %s", graph.name, what, error)
        return None
