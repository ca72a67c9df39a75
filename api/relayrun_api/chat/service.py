"""Runs that the simple endpoints ask for, and conversations in plain form: pages of messages, `/invoke`. Pure."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.chat.models import ChatBody, Conversation, Ended, Invoked
from relayrun_api.chat.translator import run_problem
from relayrun_api.http.errors import Invalid
from relayrun_api.http.responses import dumps, loads
from relayrun_api.runs.ending import Ending
from relayrun_api.runs.specs import assistant_metadata, config_of, context_of
from relayrun_api.streaming.messages import Message, is_message, plain_message, role_of, spoken_message
from relayrun_api.threads.models import Interrupt
from relayrun_core.runs import RunSpec


def page_of_messages(thread_id: str, values: Any, limit: int, before: str | None) -> Conversation:
    """The last `limit` messages in front of the one with id `before`, oldest first.

    `next` is what to send as `before` for those in front of them, or None.
    """
    messages = messages_of(values)
    if before is not None:
        ids = [message["id"] for message in messages]
        messages = messages[: ids.index(before)] if before in ids else []
    page = messages[-limit:]
    more = len(messages) > len(page) and page
    return Conversation(thread_id, page, page[0]["id"] if more else None)


def messages_of(values: Any) -> list[Message]:
    """The messages of a graph's values, in plain form."""
    return [plain_message(message) for message in _raw_messages(values)]


def invoke_answer(ending: Ending, run_id: UUID, thread_id: str) -> bytes:
    """The body of `/invoke`: the assistant's last message, and the whole state."""
    values = loads(ending.values)
    interrupts = values.pop("__interrupt__", []) if isinstance(values, dict) else []
    spoken = [message for message in _raw_messages(values) if role_of(message) == "assistant"]
    answer = Invoked(
        run_id=run_id,
        thread_id=thread_id,
        status=cast("Ended", ending.status.value),
        message=spoken_message(spoken[-1]) if spoken else None,
        interrupts=[Interrupt(item.get("id"), item.get("value")) for item in interrupts],
        values=values,
        error=run_problem(ending.error).body() if ending.error else None,
    )
    return dumps(answer)


def _raw_messages(values: Any) -> list[dict[str, Any]]:
    found = values.get("messages") if isinstance(values, dict) else None
    return [message for message in found if is_message(message)] if isinstance(found, list) else []


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
