"""The model of a `langgraph.json`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class GraphSource(BaseModel):
    """Where a graph is: `path.py:name` or `package.module:name`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str
    description: str | None = None


class IndexConfig(BaseModel):
    """The store's vector index. `embed` is `provider:model` or `path.py:function`, `dims` its vectors' length."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dims: int = Field(gt=0)
    embed: str
    fields: list[str] | None = None
    ann_index_config: dict[str, Any] | None = None
    distance_type: str | None = None


class StoreTtl(BaseModel):
    """How long store items live, in minutes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    refresh_on_read: bool = True
    default_ttl: float | None = None
    sweep_interval_minutes: int | None = None
    omit_expired: bool = False


class StoreConfig(BaseModel):
    """The long-term memory store; without an index it answers no semantic search."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    index: IndexConfig | None = None
    ttl: StoreTtl | None = None


class SerdeConfig(BaseModel):
    """Which of the author's types may be rebuilt from a checkpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    allowed_json_modules: list[list[str]] | bool | None = None
    allowed_msgpack_modules: list[list[str]] | bool | None = True
    pickle_fallback: bool = False


class CorsConfig(BaseModel):
    """Which web pages may call, as far as the API has a setting for it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    allow_origins: list[str] = []
    allow_origin_regex: re.Pattern[str] | None = None
    expose_headers: list[str] = []
    max_age: int | None = Field(default=None, ge=0)


class HeaderPatterns(BaseModel):
    """Names of headers, with `*` for any text."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    includes: list[str] | None = None
    excludes: list[str] | None = None


class HttpConfig(BaseModel):
    """The author's own web app, and what else of the server's HTTP is the agent's to say."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    app: str | None = None
    #: Only `false`, said, lets everybody call the app.
    enable_custom_route_auth: bool | None = None
    configurable_headers: HeaderPatterns | None = None
    cors: CorsConfig | None = None
    #: In front of all of the API's paths.
    mount_prefix: str = ""
    disable_a2a: bool = False
    disable_assistants: bool = False
    disable_mcp: bool = False
    disable_meta: bool = False
    disable_runs: bool = False
    disable_store: bool = False
    disable_threads: bool = False
    disable_webhooks: bool = False

    @property
    def disabled(self) -> list[str]:
        """The parts of the API that are not served."""
        return [name.removeprefix("disable_") for name, off in self if name.startswith("disable_") and off]

    @field_validator("mount_prefix")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", value):
            raise ValueError("must be a path such as /agents")
        return value.rstrip("/")


class AuthCache(BaseModel):
    """How long a user may be remembered: by the values of these headers or query parameters."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    cache_keys: list[str] = Field(default_factory=list)
    ttl_seconds: float = Field(default=60, gt=0)
    max_size: int = Field(default=1000, gt=0)


class AuthConfig(BaseModel):
    """The author's own authentication: `path.py:name` or `package.module:name` of an `Auth` of LangGraph's SDK."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str
    cache: AuthCache | None = None


@dataclass(frozen=True)
class Config:
    """A read `langgraph.json`. `warnings` are the sentences to say once about keys without effect.

    `folder` is where its relative paths start, see `places`; `notes` say so where a person may expect another.
    """

    file: Path
    folder: Path
    graphs: dict[str, GraphSource]
    dependencies: tuple[str, ...] = (".",)
    env: str | dict[str, str] | None = None
    store: StoreConfig | None = None
    serde: SerdeConfig | None = None
    http: HttpConfig | None = None
    auth: AuthConfig | None = None
    build: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def references(self) -> dict[str, str]:
        """All that the file names as `./path.py:name` or `package.module:name`, by key."""
        named = {f"graphs.{name}": source.path for name, source in self.graphs.items()}
        if self.http is not None and self.http.app is not None:
            named["http.app"] = self.http.app
        if self.auth is not None:
            named["auth.path"] = self.auth.path
        index = self.store.index if self.store else None
        if index is not None and is_a_file(index.embed.rpartition(":")[0]):
            named["store.index.embed"] = index.embed
        return named

    def dependency(self, entry: str) -> Path:
        """The folder of a local dependency, which may also be named by its `pyproject.toml` or another file."""
        place = self.path(entry)
        return place.parent if place.is_file() else place

    def path(self, relative: str) -> Path:
        """The file or folder of a relative path: the one beside the file where `folder` has none."""
        here, beside = (self.folder / relative).resolve(), (self.file.parent / relative).resolve()
        return beside if beside.exists() and not here.exists() else here

    @property
    def cors(self) -> CorsConfig | None:
        """Which web pages may call."""
        return self.http.cors if self.http else None


def found_in(folder: Path, references: Iterable[str], dependencies: Sequence[str]) -> int:
    """How many of `references`, each `./path.py:name` or `package.module:name`, a folder has."""
    return sum(_is_in(folder, reference, dependencies) for reference in references)


def is_a_file(where: str) -> bool:
    """Whether the first half of a reference is a path, and not the name of a module."""
    return where.endswith(".py") or "/" in where


def _is_in(folder: Path, reference: str, dependencies: Sequence[str]) -> bool:
    where = reference.rpartition(":")[0]
    if is_a_file(where):
        return (folder / where).is_file()
    module = Path(*where.split("."))
    roots = [folder / entry / below for entry in (".", *dependencies) for below in (".", "src")]
    return any((root / module).is_dir() or (root / module).with_suffix(".py").is_file() for root in roots)
