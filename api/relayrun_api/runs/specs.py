"""Makes the `RunSpec` of a run from the request's body and the assistant's settings. Pure."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.runs.models import RunCreate
from relayrun_core.loopback import HEADER as LOOPBACK
from relayrun_core.runner_requests import CustomHttp
from relayrun_core.runs import RunSpec

Headers = Sequence[tuple[str, str]]
#: What threads, runs and checkpoints say about the assistant that made them.
ABOUT_ASSISTANTS = ("graph_id", "assistant_id")

# What proves who calls is never told, whatever the pattern: a run's config is kept and shown.
_NEVER = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-api-key", "x-service-key", "x-tenant-id", LOOPBACK}
)
# A pattern's stars try a name's characters again and again.
_LONGEST_NAME = 256


def with_headers(spec: RunSpec, http: CustomHttp, headers: Headers) -> RunSpec:
    """The spec with these headers in its config, where they win over what the body says, as in the Agent Server."""
    if not http.header_includes:
        return spec
    included = {name: value for name, value in headers if _is_wanted(name, http)}
    if not included:
        return spec
    configurable = {**(spec.config.get("configurable") or {}), **included}
    return spec.model_copy(update={"config": {**spec.config, "configurable": configurable}})


def _is_wanted(name: str, http: CustomHttp) -> bool:
    if name in _NEVER or len(name) > _LONGEST_NAME:
        return False
    return bool(_pattern(http.header_includes).fullmatch(name) and not _pattern(http.header_excludes).fullmatch(name))


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the names, in which `*` stands for any text; none of none."""
    forms = [".*".join(re.escape(part) for part in re.split(r"\*+", name.lower())) for name in names]
    return re.compile("|".join(forms) if forms else r"(?!)")


def spec_of_run(body: RunCreate, assistant: Assistant, stream_modes: Sequence[str]) -> RunSpec:
    """The spec of a run that a LangGraph client asks for."""
    durability: dict[str, Any] = {"durability": body.chosen_durability} if body.chosen_durability else {}
    config = body.config.given if body.config else {}
    metadata = {**(config.get("metadata") or {}), **(body.metadata or {})}
    # As langgraph-api does: what is said as context is said as `configurable` too, and the other way round.
    configurable, context = config.get("configurable") or body.context, body.context or config.get("configurable")
    return RunSpec(
        **durability,
        input=body.input,
        command=(body.command.model_dump(exclude_unset=True) or None) if body.command else None,
        config=config_of(assistant, {**config, "configurable": configurable}),
        assistant_configurable=assistant.row.config.get("configurable") or {},
        context=context_of(assistant, context),
        metadata={**assistant.row.metadata, **metadata, **assistant_metadata(assistant)},
        stream_modes=list(dict.fromkeys(stream_modes)),
        stream_subgraphs=body.stream_subgraphs,
        interrupt_before=body.interrupt_before,
        interrupt_after=body.interrupt_after,
        checkpoint_id=body.from_checkpoint,
        checkpoint_map=body.checkpoint_map,
        multitask_strategy=body.multitask_strategy,
        webhook=body.webhook,
    )


def spec_as_handlers_have_it(spec: RunSpec, kwargs: Mapping[str, Any]) -> RunSpec:
    """With what an author's handlers changed of the run."""
    update = {name: kwargs[name] for name in ("input", "context", "webhook") if name in kwargs}
    if isinstance(config := kwargs.get("config"), dict):
        configurable = {**(spec.config.get("configurable") or {}), **(config.get("configurable") or {})}
        update["config"] = {**spec.config, **config, "configurable": configurable}
    return spec.model_copy(update=update) if update else spec


def config_of(assistant: Assistant, given: dict[str, Any]) -> dict[str, Any]:
    """The assistant's config with the run's over it; `configurable` is merged, all else replaced."""
    own = assistant.row.config
    configurable = {**(own.get("configurable") or {}), **(given.get("configurable") or {})}
    config = {name: value for name, value in {**own, **given}.items() if name != "configurable"}
    return {**config, "configurable": configurable} if configurable else config


def context_of(assistant: Assistant, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The assistant's context with the run's over it, as far as the graph declares it."""
    context, schema = {**assistant.row.context, **(given or {})}, assistant.context_schema
    if not schema:
        return context or None
    if schema.get("properties") and not schema.get("additionalProperties"):
        context = {name: value for name, value in context.items() if name in schema["properties"]}
    # Of nothing LangGraph makes the schema's own defaults, if it has one for everything.
    return None if not context and schema.get("required") else context


def assistant_metadata(assistant: Assistant) -> dict[str, str]:
    """What threads, runs and checkpoints say about who made them; clients search by it."""
    values = (assistant.graph_id, str(assistant.assistant_id))
    return dict(zip(ABOUT_ASSISTANTS, values, strict=True))
