"""Bodies about assistants, as the LangGraph SDKs send them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, model_validator

from relayrun_api.http.bounds import Contained, Object
from relayrun_api.http.errors import BadRequest
from relayrun_api.runs.models import Config, LangGraphBody, Name
from relayrun_core.db.assistant_search import SortBy, SortOrder
from relayrun_core.runs import without_claims

_LONGEST_DESCRIPTION = 4096

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "config",
    "context",
    "metadata",
    "name",
    "created_at",
    "updated_at",
    "version",
    "description",
]


Offset = Annotated[int, Field(ge=0, lt=2**63)]
Limit = Annotated[int, Field(ge=1, le=1000)]


class AssistantSettings(LangGraphBody):
    """What an assistant is made of, as far as it is given. `context` and `config.configurable` say the same."""

    config: Config | None = None
    context: Object | None = None
    metadata: Object | None = None
    name: Name | None = None
    description: Annotated[str, Field(max_length=_LONGEST_DESCRIPTION)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "AssistantSettings":
        if self.context and self.config and self.config.configurable:
            raise BadRequest("Send `context` or `config.configurable`, not both: `context` is the newer word.")
        return self

    def settings(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Config and context, None for what stays as it is: what is said in one of them is said in both.

        A config that says nothing of the kind leaves the context, as the Agent Server has it.
        """
        context = None if self.context is None else without_claims(self.context)
        given = self.config.given if self.config else {}
        if not given:
            return None, context
        configurable = without_claims(given.pop("configurable", {}))
        if said := configurable or context:
            given["configurable"] = said
        return given, said or context


class AssistantCreate(AssistantSettings):
    """A new assistant."""

    graph_id: Annotated[Name, Field(min_length=1)]
    assistant_id: UUID | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None

    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Config and context."""
        config, context = super().settings()
        return config or ({"configurable": context} if context else {}), context or {}


class AssistantPatch(AssistantSettings):
    """What the next version changes. `metadata` is merged; all else replaces what was."""

    graph_id: Name | None = None


class LatestVersion(LangGraphBody):
    """The version to use."""

    version: int = Field(ge=0, lt=2**31)


class VersionSearch(LangGraphBody):
    """Which versions to list."""

    metadata: Contained | None = None
    limit: Limit = 10
    offset: Offset = 0


class AssistantCount(LangGraphBody):
    """Which assistants to count."""

    metadata: Contained | None = None
    graph_id: Name | None = None
    name: Name | None = None


class AssistantSearch(AssistantCount):
    """Which assistants to list."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | None = None
    sort_order: SortOrder = "desc"
    select: Annotated[list[AssistantField], Field(max_length=100)] | None = None
