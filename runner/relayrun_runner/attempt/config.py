"""The config that a run's graph is called with, and what a checkpoint's metadata keeps of it."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

from relayrun_core import storable
from relayrun_core.runs import Run, without_claims
from relayrun_runner.auth.users import User

# Keys of `configurable` that say where a run writes: ours alone to set.
_RESERVED = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map", "run_id")
_SERVER = {"langgraph_version": version("langgraph")}
# With it a RemoteGraph that is a node goes on where it was when the graph around it does, in place of starting anew.
_RESUMING = "__pregel_resuming"


def config_of(run: Run) -> RunnableConfig:
    """The config of a claimed run."""
    spec = run.spec
    given = {
        key: value
        for key, value in without_claims(spec.config.get("configurable") or {}).items()
        if key == _RESUMING or (key not in _RESERVED and not key.startswith("__pregel"))
    }
    # Checkpoints carry the run's id: that is how the next attempt knows its own.
    identity = {"run_id": str(run.run_id), "graph_id": run.graph}
    if run.assistant_id is not None:
        identity["assistant_id"] = str(run.assistant_id)
    config: dict[str, Any] = {
        **{key: value for key, value in spec.config.items() if key in ("tags", "recursion_limit", "max_concurrency")},
        "configurable": {**with_user(given, spec.user), **identity, "thread_id": str(run.thread_id)},
        "metadata": without_claims(
            {**(spec.config.get("metadata") or {}), **spec.metadata, **identity, **_SERVER, "run_attempt": run.attempt}
        ),
    }
    if run.attempt == 1:
        # As the trace's id; a second attempt under the same id would overwrite the first one's trace.
        config["run_id"] = run.run_id
    return config  # type: ignore[return-value]


def context_of(run: Run) -> dict[str, Any] | None:
    """The context that its graph is given."""
    return run.spec.context and (without_claims(run.spec.context) or None)


def without_user(config: RunnableConfig) -> RunnableConfig:
    """The config without whom the run is for, tokens and all: that is for the graph alone, and never kept nor told."""
    given = config.get("configurable") or {}
    configurable = without_claims(given)
    return {**config, "configurable": configurable} if len(configurable) < len(given) else config


def with_user(configurable: Mapping[str, Any], user: Mapping[str, Any] | None) -> dict[str, Any]:
    """With whom it is for, for nodes, tools and factories, in the names of the Agent Server.

    A `user_id` of the caller's own stays.
    """
    if user is None:
        return dict(configurable)
    found = User(user)
    return {
        "user_id": found.identity,
        **configurable,
        "langgraph_auth_user": found,
        "langgraph_auth_user_id": found.identity,
        "langgraph_auth_permissions": found.permissions,
    }


# Of a put's config: its `checkpoint_id` is that of the checkpoint's parent. Where a call began is in its metadata.
_PLACE = ("checkpoint_ns", "checkpoint_map")
_NOT_SAID = ("checkpoint_id", *_PLACE)
# Each checkpoint has them anew.
_MOST_BYTES = 16 * 1024


def described(config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
    """The metadata with what the config says; nothing of whom the run is for."""
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    said = {key: value for key, value in configurable.items() if key not in _NOT_SAID or (key in _PLACE and value)}
    of_call: Mapping[str, Any] = config.get("metadata") or {}
    found = {
        key: value
        for key, value in without_claims({**said, **of_call}).items()
        if key not in metadata and not key.startswith("__") and (key != "checkpoint_ns" or value)
    }
    return cast("CheckpointMetadata", {**_storable(found), **metadata})


def _storable(found: dict[str, Any]) -> dict[str, Any]:
    texts = {key: value for key, value in found.items() if isinstance(value, str | int | float | bool | None)}
    if len(texts) == len(found):
        return texts
    # An author's call of a graph may have anything in its config.
    plain = {key: value for key, value in found.items() if _is_json(value)}
    text = storable.dumps(plain)
    return orjson.loads(text) if len(text) <= _MOST_BYTES else texts


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or type(value) in (str, int, float, bool)
