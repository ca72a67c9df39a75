"""The model of a `langgraph.json` and how it is read. Imports neither LangGraph nor author code.

What becomes of each key is in `fates`; what the file's graphs, paths and variables do is in `graphs`,
`imports` and `environment`.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from relayrun_runner import fates
from relayrun_runner.errors import ConfigError


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
    """A read `langgraph.json`. `warnings` are the sentences to say once about keys without effect."""

    file: Path
    graphs: dict[str, GraphSource]
    dependencies: tuple[str, ...] = (".",)
    env: str | dict[str, str] | None = None
    store: StoreConfig | None = None
    serde: SerdeConfig | None = None
    http: HttpConfig | None = None
    auth: AuthConfig | None = None
    build: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that every relative path of the file starts from."""
        return self.file.parent

    @property
    def cors(self) -> CorsConfig | None:
        """Which web pages may call."""
        return self.http.cors if self.http else None


def load_config(path: Path | str) -> Config:
    """Read and check a `langgraph.json`. Raises ConfigError, which names the file, the key and what to do."""
    file = Path(path).resolve()
    raw = _read(file)
    warnings = [f"{file}: {sentence}" for sentence in _unknown_and_ignored(raw)]
    _refuse(file, raw)
    _require_graphs(file, raw)
    checkpointer = raw.get("checkpointer") or {}
    return Config(
        file=file,
        graphs=_graphs(file, raw["graphs"]),
        dependencies=tuple(_checked(file, "dependencies", list[str], raw.get("dependencies") or [])),
        env=_checked(file, "env", str | dict[str, str] | None, raw.get("env")),
        store=_checked(file, "store", StoreConfig | None, raw.get("store")),
        serde=_checked(file, "checkpointer.serde", SerdeConfig | None, checkpointer.get("serde")),
        http=_http(file, raw.get("http")),
        auth=_auth(file, raw.get("auth")),
        build={key: raw[key] for key in fates.BUILD_ONLY if key in raw},
        warnings=tuple(warnings),
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(file, "", "no such file: name it with --config, or start in its folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, "", f"cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(file, "", f"is not JSON: {error.msg} in line {error.lineno}") from error
    if not isinstance(raw, dict):
        raise ConfigError(file, "", 'is not a JSON object: write {"graphs": {"agent": "./agent.py:graph"}}')
    return raw


def _unknown_and_ignored(raw: dict[str, Any]) -> list[str]:
    known = fates.top_level_keys()
    sentences = [fates.unknown_key(key, known) for key in raw if key not in known]
    for parent, keys in fates.NESTED.items():
        below = _at(raw, parent)
        if isinstance(below, dict):
            sentences += [f"{parent}: {fates.unknown_key(key, keys)}" for key in below if key not in keys]
    return sentences + [f"{key} is ignored: {why}" for key, why in fates.IGNORED.items() if _at(raw, key)]


def _refuse(file: Path, raw: dict[str, Any]) -> None:
    for key, why in fates.REFUSED.items():
        if _at(raw, key):
            raise ConfigError(file, key, why)


def _require_graphs(file: Path, raw: dict[str, Any]) -> None:
    if raw.get("graphs"):
        return
    near = [key for key in raw if key not in fates.top_level_keys() and "graph" in key.lower()]
    hint = f" (did you mean it by {near[0]!r}?)" if near else ""
    raise ConfigError(file, "graphs", f'is missing{hint}: add "graphs": {{"agent": "./agent.py:graph"}}')


def _graphs(file: Path, raw: Any) -> dict[str, GraphSource]:
    if not isinstance(raw, dict):
        raise ConfigError(file, "graphs", "is not an object of names and paths")
    return {name: _graph(file, f"graphs.{name}", value) for name, value in raw.items()}


def _graph(file: Path, key: str, value: Any) -> GraphSource:
    source: GraphSource = _checked(file, key, GraphSource, {"path": value} if isinstance(value, str) else value)
    _require_object(file, key, source.path, "./agent.py:graph", "graphs")
    return source


def _http(file: Path, value: Any) -> HttpConfig | None:
    http: HttpConfig | None = _checked(file, "http", HttpConfig | None, value)
    if http is not None and http.app is not None:
        _require_object(file, "http.app", http.app, "./app.py:app", "apps")
    return http


def _auth(file: Path, raw: Any) -> AuthConfig | None:
    if not raw:
        return None
    if isinstance(raw, dict) and not raw.get("path"):
        # Whoever writes it wants callers to be asked: not to ask them would be the wrong guess.
        raise ConfigError(file, "auth", 'has no `path`: write {"path": "./auth.py:auth"}, or take `auth` out')
    auth: AuthConfig = _checked(file, "auth", AuthConfig, raw)
    _require_object(file, "auth.path", auth.path, "./auth.py:auth", "handlers")
    return auth


def _require_object(file: Path, key: str, path: str, example: str, kind: str) -> None:
    where, _, name = path.rpartition(":")
    if not where or not name:
        raise ConfigError(file, key, f"{path!r} does not name an object: write {example}")
    if where.endswith(fates.JAVASCRIPT):
        raise ConfigError(file, key, f"{where} is JavaScript; Relayrun runs Python {kind}")


def _at(raw: dict[str, Any], key: str) -> Any:
    value: Any = raw
    for part in key.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _checked(file: Path, key: str, form: Any, value: Any) -> Any:
    try:
        return TypeAdapter(form).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join([key, *(str(part) for part in first["loc"] if not _is_a_type(part))])
        raise ConfigError(file, place, f"{first['msg']} (it is {value!r:.80})") from error


def _is_a_type(part: str | int) -> bool:
    # pydantic names the union's member in the location; a reader of JSON does not know those.
    return isinstance(part, str) and (part in {"str", "int"} or "[" in part or part[:1].isupper())
