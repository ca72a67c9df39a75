"""What a run shall do (`RunSpec`), from the bodies that ask for it. Pure."""

from collections.abc import Sequence
from typing import Any

from relayrun_api.errors import Invalid
from relayrun_api.models.chat import ChatBody
from relayrun_api.models.runs import RunCreate
from relayrun_api.services.graphs import Assistant
from relayrun_api.services.runs import assistant_metadata
from relayrun_core.runs import RunSpec


def spec_of_run(body: RunCreate, assistant: Assistant, stream_modes: Sequence[str]) -> RunSpec:
    """The spec of a run that a LangGraph client asks for."""
    durability: dict[str, Any] = {"durability": body.chosen_durability} if body.chosen_durability else {}
    return RunSpec(
        **durability,
        input=body.input,
        command=body.command.model_dump(exclude_unset=True) if body.command else None,
        config=body.config.given if body.config else {},
        context=body.context,
        metadata={"created_by": "system", **assistant_metadata(assistant), **(body.metadata or {})},
        stream_modes=list(dict.fromkeys(stream_modes)),
        stream_subgraphs=body.stream_subgraphs,
        interrupt_before=body.interrupt_before,
        interrupt_after=body.interrupt_after,
        checkpoint_id=body.from_checkpoint,
        multitask_strategy=body.multitask_strategy,
    )


def spec_of_chat(body: ChatBody, assistant: Assistant, stream_modes: Sequence[str]) -> RunSpec:
    """The spec of a run that a simple endpoint asks for. Raises Invalid for a graph that takes no messages."""
    context, config = _user_context(body, assistant)
    return RunSpec(
        input=None if body.message is None else _input(body.message, assistant),
        command=None if body.message is not None else {"resume": body.resume},
        config=config,
        context=context,
        metadata={"created_by": "system", **assistant_metadata(assistant)},
        stream_modes=list(stream_modes),
        stream_subgraphs=True,
    )


def _input(message: str, assistant: Assistant) -> dict[str, Any]:
    if not assistant.takes_messages:
        raise Invalid(
            f"Graph {assistant.name!r} takes no `messages`: start it with POST /threads/{{id}}/runs/stream and its "
            "own input."
        )
    return {"messages": [{"role": "user", "content": message}]}


def _user_context(body: ChatBody, assistant: Assistant) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    if not body.user_context:
        return None, {}
    if assistant.takes_context:
        return body.user_context, {}
    return None, {"configurable": {"user_context": body.user_context}}
