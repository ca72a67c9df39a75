"""Assistants, as the LangGraph Agent Server has them. Every route takes a graph's name too, for its default one."""

from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.responses import Response

from relayrun_api.assistants import lookup, permissions
from relayrun_api.assistants.models import (
    SUBGRAPHS_EXAMPLE,
    Assistant,
    AssistantCount,
    AssistantCreate,
    AssistantPatch,
    AssistantSearch,
    AssistantVersion,
    Drawing,
    GraphSchemas,
    LatestVersion,
    SubgraphSchemas,
    VersionSearch,
)
from relayrun_api.auth import Caller, Reader
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.errors import Invalid
from relayrun_api.http.listing import listed
from relayrun_api.http.responses import Json
from relayrun_api.services import Given
from relayrun_api.threads.service import forget_threads
from relayrun_core.db.assistants import AssistantRow

router = Router("assistants")

_BUILT_IN = "Only admins may change a graph's default assistant"

_DEEPEST_XRAY = 1000


async def _assistant(assistant_id: str, services: Given, caller: Caller) -> lookup.Assistant:
    return await services.assistant_lookup.get(caller, assistant_id)


AssistantAt = Annotated[lookup.Assistant, Depends(_assistant)]


async def _xray(xray: Annotated[str, Query(max_length=8, description="true, or how deep")] = "false") -> bool | int:
    if xray.lower() in ("true", "false"):
        return xray.lower() == "true"
    if xray.isascii() and xray.isdigit() and 0 < int(xray) <= _DEEPEST_XRAY:
        return int(xray)
    raise Invalid(f"`xray` must be true, false or a number from 1 to {_DEEPEST_XRAY}: send one of these.")


@router.post(
    "/assistants",
    operation_id="create_assistant",
    description="Creates a graph with settings. Send either `context` or `config.configurable`: they mean the same.",
    permission=permissions.new_assistant,
    answer=Assistant,
    refusals=(404, 409),
    examples={
        "in German": {
            "graph_id": "agent",
            "name": "Refunds",
            "description": "Answers in German.",
            "context": {"language": "de"},
            "metadata": things.METADATA,
        }
    },
)
async def create(body: AssistantCreate, services: Given, caller: Caller) -> Response:
    """Create an assistant."""
    return Json(Assistant.of(await services.assistants.create(caller, body)))


@router.post(
    "/assistants/search",
    operation_id="search_assistants",
    description=(
        "Returns your assistants and the default ones. `X-Pagination-Total` has their number. With `select`, "
        "assistants have only these members."
    ),
    permission=permissions.search_assistants,
    answer=list[Assistant],
    refusals=(404,),
    examples={"of a graph": {"graph_id": "agent", "limit": 20, "sort_by": "name", "sort_order": "asc"}},
)
async def search(body: AssistantSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List assistants."""
    async with services.reads.by(reader) as database:
        found, total = await services.assistants.search(database, caller, body)
    headers = {"X-Pagination-Total": str(total)}
    if body.offset + body.limit < total:
        headers["X-Pagination-Next"] = str(body.offset + body.limit)

    async def view(row: AssistantRow) -> Assistant | dict[str, Any]:
        return _selected(await services.assistants.view(row), body.select)

    return await listed(services.reads, reader, found, view, headers=headers)


@router.post(
    "/assistants/count",
    operation_id="count_assistants",
    description="Returns the number of results of the same search.",
    permission=permissions.search_assistants,
    answer=int,
    example=3,
    refusals=(404,),
    examples={"of a graph": {"graph_id": "agent"}},
)
async def count(body: AssistantCount, services: Given, caller: Caller, reader: Reader) -> Response:
    """Count assistants."""
    async with services.reads.by(reader) as database:
        return Json(await services.assistants.count(database, caller, body))


@router.get(
    "/assistants/{assistant_id}",
    operation_id="get_assistant",
    description="Returns the version in use.",
    permission=permissions.assistant("read"),
    answer=Assistant,
)
async def get(assistant: AssistantAt) -> Response:
    """Get an assistant."""
    return Json(Assistant.of(assistant))


@router.patch(
    "/assistants/{assistant_id}",
    operation_id="update_assistant",
    description=f"`metadata` is merged, other members are replaced. Later runs use the new version. {_BUILT_IN}.",
    permission=permissions.assistant("update", "graph_id", "config", "context", "metadata", "name"),
    answer=Assistant,
    refusals=(403,),
    examples={"another language": {"context": {"language": "en"}}},
)
async def patch(assistant_id: str, body: AssistantPatch, services: Given, caller: Caller) -> Response:
    """Change an assistant, as a new version."""
    return Json(Assistant.of(await services.assistants.update(caller, assistant_id, body)))


@router.delete(
    "/assistants/{assistant_id}",
    operation_id="delete_assistant",
    description=f"Runs that have begun continue. {_BUILT_IN}, and nobody may delete it.",
    permission=permissions.delete_assistant,
    status_code=204,
    refusals=(403, 409),
)
async def delete(assistant_id: str, services: Given, caller: Caller, delete_threads: bool = False) -> Response:
    """Delete an assistant, and optionally its threads."""
    assistant = await services.assistants.to_delete(caller, assistant_id)
    if delete_threads:
        await forget_threads(services.database, services.dispatcher, assistant.row, caller.scope("threads"))
    await services.assistants.delete(assistant)
    return Response(status_code=204)


@router.post(
    "/assistants/{assistant_id}/versions",
    operation_id="list_assistant_versions",
    description="Versions are counted from 1 and never change.",
    permission=permissions.assistant("read"),
    answer=list[AssistantVersion],
    examples={"the newest": {"limit": 5}},
)
async def versions(assistant_id: str, body: VersionSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List an assistant's versions, newest first."""
    found = await services.assistants.versions(
        caller, assistant_id, metadata=body.metadata, limit=body.limit, offset=body.offset
    )
    return await listed(services.reads, reader, found, services.assistants.view_of_version, headers={})


@router.post(
    "/assistants/{assistant_id}/latest",
    operation_id="use_assistant_version",
    description=f"Later runs use it. {_BUILT_IN}.",
    permission=permissions.assistant("update", "version"),
    answer=Assistant,
    refusals=(403,),
    examples={"the first": {"version": 1}},
)
async def set_latest(assistant_id: str, body: LatestVersion, services: Given, caller: Caller) -> Response:
    """Use another version of an assistant."""
    return Json(Assistant.of(await services.assistants.use_version(caller, assistant_id, body.version)))


@router.get(
    "/assistants/{assistant_id}/graph",
    operation_id="get_assistant_graph",
    description="Use it to draw the graph. `xray` includes subgraphs.",
    permission=permissions.assistant("read"),
    answer=Drawing,
)
async def graph(assistant: AssistantAt, services: Given, xray: Annotated[bool | int, Depends(_xray)]) -> Response:
    """Get an assistant's graph: its nodes and edges."""
    return Json(await services.drawings.drawing(assistant, xray))


@router.get(
    "/assistants/{assistant_id}/schemas",
    operation_id="get_assistant_schemas",
    description="Of its input, output, state, configuration and context.",
    permission=permissions.assistant("read"),
    answer=GraphSchemas,
)
async def schemas(assistant: AssistantAt, services: Given) -> Response:
    """Get the JSON schemas of an assistant's graph."""
    return Json(await services.drawings.schemas(assistant))


@router.get(
    "/assistants/{assistant_id}/subgraphs",
    operation_id="list_assistant_subgraphs",
    description="Returns them by namespace. `recurse` includes subgraphs of subgraphs.",
    permission=permissions.assistant("read"),
    answer=dict[str, SubgraphSchemas],
    example=SUBGRAPHS_EXAMPLE,
)
async def subgraphs(assistant: AssistantAt, services: Given, recurse: bool = False) -> Response:
    """Get the JSON schemas of an assistant's subgraphs."""
    return Json(await services.drawings.subgraphs(assistant, None, recurse=recurse))


@router.get(
    "/assistants/{assistant_id}/subgraphs/{namespace}",
    operation_id="get_assistant_subgraph",
    description="In a namespace of nested subgraphs, labels are separated by `|`.",
    permission=permissions.assistant("read"),
    answer=dict[str, SubgraphSchemas],
    example=SUBGRAPHS_EXAMPLE,
)
async def subgraph(assistant: AssistantAt, namespace: str, services: Given, recurse: bool = False) -> Response:
    """Get the JSON schemas of one subgraph."""
    return Json(await services.drawings.subgraphs(assistant, namespace, recurse=recurse))


def _selected(whole: Assistant, fields: list[Any] | None) -> Assistant | dict[str, Any]:
    return whole if not fields else {name: value for name, value in vars(whole).items() if name in fields}
