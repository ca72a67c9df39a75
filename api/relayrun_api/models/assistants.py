"""Bodies about assistants, as the LangGraph SDKs send them."""

from typing import Any, Literal

from pydantic import Field

from relayrun_api.models.runs import LangGraphBody


class AssistantSearch(LangGraphBody):
    """Which assistants to list."""

    metadata: dict[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0)
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] | None = None
    sort_order: Literal["asc", "desc"] = "desc"


class AssistantCount(LangGraphBody):
    """Which assistants to count."""

    metadata: dict[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = None
