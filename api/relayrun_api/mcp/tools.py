"""Assistants as tools: which there are for a caller, under which names, and what they take.

A tool has its assistant's name. Of several that would have one name a graph's own has it, else the oldest. Another
graph's own then has the graph's name, and the others add the beginning of their id. Under both they can always be
called.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_api.assistants.models import AssistantSearch
from relayrun_api.auth import Principal
from relayrun_api.mcp.errors import INVALID_PARAMS, McpError
from relayrun_api.mcp.schemas import input_schema
from relayrun_api.services import Services
from relayrun_core.db.assistants import AssistantRow
from relayrun_core.db.listing import read_part

#: The tool that answers what a run asks.
RESUME = "resume_run"
_RESUME_SCHEMA = {
    "type": "object",
    "properties": {
        "thread_id": {"type": "string", "description": "The thread that waits, as the call's result named it."},
        "answer": {"description": "The answer to its question; with several, an object of answers by interrupt id."},
    },
    "required": ["thread_id", "answer"],
}
_RESUME_DESCRIPTION = (
    "Answers the question with which an earlier tool call stopped, and returns how the call ends. Use the thread_id "
    "that its result named."
)

_PAGE = 100
_MOST = 1000
_PART_BYTES = 50_000_000
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 64
_OF_ID = 8


@dataclass(frozen=True)
class Named:
    """An assistant and its tool's name."""

    name: str
    row: AssistantRow


async def tools_page(
    services: Services, reader: str, caller: Principal, cursor: str | None
) -> tuple[list[Any], str | None]:
    """A page of tools, and the cursor of the next. Raises McpError for a cursor that is none."""
    from mcp_types import Tool

    offset = _offset_of(cursor)
    found = await _all(services, reader, caller)
    tools = []
    for named in found[offset : offset + _PAGE]:
        assistant = await services.assistant_lookup.of(named.row)
        if assistant.graph is not None:
            tools.append(
                Tool(
                    name=named.name,
                    title=named.row.name,
                    description=named.row.description or f"Runs the agent {named.row.name}.",
                    input_schema=input_schema(assistant),
                )
            )
    if offset + _PAGE < len(found):
        return tools, _cursor(offset + _PAGE)
    resume = Tool(name=RESUME, title="Answer an agent", description=_RESUME_DESCRIPTION, input_schema=_RESUME_SCHEMA)
    return [*tools, resume], None


async def assistant_named(services: Services, reader: str, caller: Principal, name: str) -> str:
    """The id of the tool's assistant, or its graph's name. Raises McpError."""
    graph = await services.catalog.find(name)
    if graph is not None and tool_name(name) == name != RESUME:
        own = await services.assistant_lookup.named(caller, name)
        if own.row.name == name:  # as of most: no other tool can have its name
            return name
    found = await _all(services, reader, caller)
    for named in found:
        if name == named.name:
            return str(named.row.assistant_id)
    if graph is not None and tool_name(name) == name != RESUME:
        return name
    for named in found:
        if name == _with_id(named.row):
            return str(named.row.assistant_id)
    raise McpError(INVALID_PARAMS, f"Unknown tool: {name[:100]!r}. List the tools with tools/list.", status=200)


def tool_name(text: str) -> str:
    """The text as a tool's name, whose characters are few."""
    return _FOREIGN.sub("_", text).strip("_")[:_LONGEST_NAME] or "assistant"


def named_tools(rows: Sequence[AssistantRow], graph_names: Mapping[UUID, str]) -> list[Named]:
    """The rows, oldest first, with a name for each. `graph_names`: of graphs' own assistants."""
    taken = {RESUME}
    names: dict[UUID, str] = {}

    def rank(row: AssistantRow) -> tuple[bool, bool]:
        graph = graph_names.get(row.assistant_id)
        return graph is None, graph != row.name

    for row in sorted(rows, key=rank):  # stable: the oldest of a rank come first
        graph = graph_names.get(row.assistant_id)
        wanted = [tool_name(row.name), *([tool_name(graph)] if graph else []), _with_id(row)]
        names[row.assistant_id] = next(name for name in wanted if name not in taken or name == wanted[-1])
        taken.add(names[row.assistant_id])
    return [Named(names[row.assistant_id], row) for row in rows]


def _with_id(row: AssistantRow) -> str:
    return f"{tool_name(row.name)}_{row.assistant_id.hex[:_OF_ID]}"


async def _all(services: Services, reader: str, caller: Principal) -> list[Named]:
    rows: dict[UUID, AssistantRow] = {}

    async def take(row: AssistantRow) -> bytes:
        rows[row.assistant_id] = row
        return b""

    query = AssistantSearch(limit=_MOST, sort_by="created_at", sort_order="asc")
    async with services.reads.by(reader) as database:
        listing, _ = await services.assistants.search(database, caller, query)
        await read_part(database, listing, take, _PART_BYTES)
    graphs = {graph.assistant_id: graph.name for graph in await services.catalog.all()}
    return named_tools(list(rows.values()), graphs)


def _cursor(offset: int) -> str:
    return urlsafe_b64encode(f"tools:{offset}".encode()).decode()


def _offset_of(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        kind, _, offset = urlsafe_b64decode(cursor.encode()).decode().partition(":")
        if kind == "tools" and 0 <= int(offset) <= _MOST:
            return int(offset)
    except ValueError:
        pass
    raise McpError(INVALID_PARAMS, "The `cursor` is not from this server: list the tools from the start.", status=200)
