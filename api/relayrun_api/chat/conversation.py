"""Conversations in plain form: pages of messages, and the answer of `/invoke`. Pure."""

from typing import Any, cast
from uuid import UUID

from relayrun_api.chat.models import Conversation, Ended, Invoked
from relayrun_api.chat.translator import run_problem
from relayrun_api.http.responses import dumps, loads
from relayrun_api.runs.ending import Ending
from relayrun_api.streaming.messages import Message, is_message, plain_message, role_of, spoken_message
from relayrun_api.threads.models import Interrupt


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
