"""What is asked of an author's handlers about the simple endpoints."""

from relayrun_api.auth.permissions import Ask, Sent
from relayrun_api.runs.permissions import asked_of_run


def new_answer(sent: Sent) -> list[Ask]:
    """A run by one of the simple endpoints."""
    body = sent.body
    message = {"messages": [{"role": "user", "content": body["message"]}]} if body.get("message") else None
    kwargs = {"input": message, "command": {"resume": body["resume"]} if "resume" in body else None}
    return asked_of_run(
        {"assistant_id": body.get("assistant_id"), "if_not_exists": "create", **kwargs},
        body.get("thread_id") or "default_user",
    )
