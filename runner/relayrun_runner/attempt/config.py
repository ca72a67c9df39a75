"""The config that a run's graph is called with: what the caller gave, without what is ours to set."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from langchain_core.runnables import RunnableConfig

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
