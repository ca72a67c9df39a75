"""Reads and checks a `langgraph.json`."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from relayrun_runner.config import fates
from relayrun_runner.config.model import AuthConfig, Config, GraphSource, HttpConfig, SerdeConfig, StoreConfig, found_in
from relayrun_runner.errors import ConfigError


def load_config(path: Path | str, working: Path | None = None) -> Config:
    """Read and check a `langgraph.json`, for a working directory, by default the process's own.

    Raises ConfigError, which names the file, the key and what to do.
    """
    file, working = Path(path).resolve(), (working or Path.cwd()).resolve()
    raw = _read(file)
    warnings = [f"{file}: {sentence}" for sentence in _unknown_and_ignored(raw)]
    _refuse(file, raw)
    _require_graphs(file, raw)
    checkpointer = raw.get("checkpointer") or {}
    config = Config(
        file=file,
        folder=file.parent,
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
    return _placed(config, working)


def _placed(config: Config, working: Path) -> Config:
    if working == config.folder:
        return config
    places = (working, config.folder)
    there, beside = (found_in(place, config.references.values(), config.dependencies) for place in places)
    if there and there >= beside:
        return replace(config, folder=working)
    note = (
        f"{config.file.name}: its code is not in the working directory, {working}:"
        f" its paths start in its own folder, {config.folder}"
    )
    return replace(config, notes=(note,) if beside else ())  # installed code is in neither


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text("utf-8-sig"))  # editors of Windows begin a file with a byte order mark
    except FileNotFoundError:
        raise ConfigError(file, "", "no such file: name it with --config, or run the command in its folder") from None
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
        raise ConfigError(file, "auth", 'has no `path`: write {"path": "./auth.py:auth"}, or remove `auth`')
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


#: A JSON object with a config for each graph that has one: `{"agent": {"configurable": {"model": "small"}}}`.
VARIABLE = "LANGGRAPH_CONFIG"


def default_configs(config: Config) -> dict[str, dict[str, Any]]:
    """The configs by graph, as the environment has them now. Raises ConfigError."""
    text = os.environ.get(VARIABLE)
    if not text:
        return {}
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(config.file, VARIABLE, f"the environment variable is not JSON: {error}") from error
    if not isinstance(given, dict) or not all(isinstance(each, dict) for each in given.values()):
        raise ConfigError(
            config.file, VARIABLE, 'the environment variable must be like {"graph": {"configurable": {}}}'
        )
    return given
