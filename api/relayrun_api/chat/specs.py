"""What a run shall do that a simple endpoint asks for. Pure."""

from collections.abc import Sequence
from typing import Any

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.chat.models import ChatBody
from relayrun_api.http.errors import Invalid
from relayrun_api.runs.specs import assistant_metadata, config_of, context_of
from relayrun_core.runs import RunSpec


def spec_of_chat(body: ChatBody, assistant: Assistant, stream_modes: Sequence[str]) -> RunSpec:
    """The spec of a run that a simple endpoint asks for. Raises Invalid for a graph that takes no messages."""
    context = body.user_context if assistant.context_schema else {}
    configurable = {"user_context": body.user_context} if body.user_context and not context else None
    return RunSpec(
        input=None if body.message is None else _input(body.message, assistant),
        command=None if body.message is not None else {"resume": body.resume},
        config=config_of(assistant, {"configurable": configurable}),
        assistant_configurable=assistant.row.config.get("configurable") or {},
        context=context_of(assistant, context),
        metadata={**assistant.row.metadata, **assistant_metadata(assistant)},
        stream_modes=list(stream_modes),
        stream_subgraphs=True,
    )


def _input(message: str, assistant: Assistant) -> dict[str, Any]:
    if not assistant.takes_messages:
        raise Invalid(
            f"Graph {assistant.graph_id!r} takes no `messages`: start it with POST /threads/{{id}}/runs/stream and its "
            "own input."
        )
    return {"messages": [{"role": "user", "content": message}]}
