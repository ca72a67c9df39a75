"""What a run shall do (`RunSpec`), from the bodies that ask for it and the assistant's settings. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.chat.models import ChatBody
from relayrun_api.http.errors import Invalid
from relayrun_api.runs.models import RunCreate
from relayrun_api.runs.service import assistant_metadata
from relayrun_core.runs import RunSpec


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
        config=_config(assistant, {**config, "configurable": configurable}),
        assistant_configurable=assistant.row.config.get("configurable") or {},
        context=_context(assistant, context),
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


def spec_of_chat(body: ChatBody, assistant: Assistant, stream_modes: Sequence[str]) -> RunSpec:
    """The spec of a run that a simple endpoint asks for. Raises Invalid for a graph that takes no messages."""
    context = body.user_context if assistant.context_schema else {}
    configurable = {"user_context": body.user_context} if body.user_context and not context else None
    return RunSpec(
        input=None if body.message is None else _input(body.message, assistant),
        command=None if body.message is not None else {"resume": body.resume},
        config=_config(assistant, {"configurable": configurable}),
        assistant_configurable=assistant.row.config.get("configurable") or {},
        context=_context(assistant, context),
        metadata={**assistant.row.metadata, **assistant_metadata(assistant)},
        stream_modes=list(stream_modes),
        stream_subgraphs=True,
    )


def spec_as_handlers_have_it(spec: RunSpec, kwargs: Mapping[str, Any]) -> RunSpec:
    """With what an author's handlers changed of the run."""
    update = {name: kwargs[name] for name in ("input", "context", "webhook") if name in kwargs}
    if isinstance(config := kwargs.get("config"), dict):
        configurable = {**(spec.config.get("configurable") or {}), **(config.get("configurable") or {})}
        update["config"] = {**spec.config, **config, "configurable": configurable}
    return spec.model_copy(update=update) if update else spec


def _input(message: str, assistant: Assistant) -> dict[str, Any]:
    if not assistant.takes_messages:
        raise Invalid(
            f"Graph {assistant.graph_id!r} takes no `messages`: start it with POST /threads/{{id}}/runs/stream and its "
            "own input."
        )
    return {"messages": [{"role": "user", "content": message}]}


def _config(assistant: Assistant, given: dict[str, Any]) -> dict[str, Any]:
    """The assistant's config with the run's over it; `configurable` is merged, all else replaced."""
    own = assistant.row.config
    configurable = {**(own.get("configurable") or {}), **(given.get("configurable") or {})}
    config = {name: value for name, value in {**own, **given}.items() if name != "configurable"}
    return {**config, "configurable": configurable} if configurable else config


def _context(assistant: Assistant, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The assistant's context with the run's over it, as far as the graph declares it."""
    context, schema = {**assistant.row.context, **(given or {})}, assistant.context_schema
    if not schema:
        return context or None
    if schema.get("properties") and not schema.get("additionalProperties"):
        context = {name: value for name, value in context.items() if name in schema["properties"]}
    # Of nothing LangGraph makes the schema's own defaults, if it has one for everything.
    return None if not context and schema.get("required") else context
