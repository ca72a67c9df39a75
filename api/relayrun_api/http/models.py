"""What request bodies have in common: names, objects that are kept with a thing or searched by, configurations."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from relayrun_core.db.metadata_filter import check_contained
from relayrun_core.db.rows import MAX_OBJECT_BYTES

_LONGEST_NAME = 256
_MOST_TAGS = 1000
Name = Annotated[str, Field(max_length=_LONGEST_NAME)]


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    """The value. Raises ValueError when it is larger than what is kept with a thing may be."""
    if len(orjson.dumps(value)) > MAX_OBJECT_BYTES:
        raise ValueError(f"must be at most {MAX_OBJECT_BYTES} bytes of JSON")
    return value


def _searchable(value: dict[str, Any]) -> dict[str, Any]:
    check_contained(value)
    return value


#: Metadata, a context or a config: whoever lists the things that have it gets all of it.
Object = Annotated[dict[str, Any], AfterValidator(_bounded)]
#: What the things that are searched for have to contain.
Contained = Annotated[dict[str, Any], AfterValidator(_searchable)]


class LangGraphBody(BaseModel):
    """A body of the Agent Server's API. Unknown members are ignored: clients are older and newer than we are."""

    model_config = ConfigDict(extra="ignore")


class RunConfig(LangGraphBody):
    """LangGraph's configuration of a run, as far as a wrong one would only fail in a runner; the rest is passed on."""

    model_config = ConfigDict(extra="allow")

    tags: list[Name] | None = Field(default=None, max_length=_MOST_TAGS)
    metadata: dict[str, Any] | None = None
    configurable: dict[str, Any] | None = None
    recursion_limit: int | None = Field(default=None, ge=1, le=1_000_000)
    max_concurrency: int | None = Field(default=None, ge=1, le=1_000_000)

    @property
    def given(self) -> dict[str, Any]:
        """What was given, as a plain dictionary."""
        return {name: value for name, value in self if value is not None}


def _small(config: RunConfig) -> RunConfig:
    _bounded(config.given)
    return config


#: A configuration that may be kept with a thing.
Config = Annotated[RunConfig, AfterValidator(_small)]
