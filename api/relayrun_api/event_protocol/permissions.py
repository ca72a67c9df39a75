"""What is asked of an author's handlers about the event protocol."""

from relayrun_api.auth.permissions import Ask, Sent
from relayrun_api.runs.permissions import asked_of_run

_STARTING = ("run.start", "input.respond", "state.fork")


def command(sent: Sent) -> list[Ask]:
    """A command of the event protocol: one that starts a run, or one that reads."""
    body, thread_id = sent.body, sent.path["thread_id"]
    if body.get("method") not in _STARTING:
        return [Ask("threads", "read", {"thread_id": thread_id})]
    params = body.setdefault("params", {})
    return asked_of_run(params, thread_id, if_not_exists="create")
