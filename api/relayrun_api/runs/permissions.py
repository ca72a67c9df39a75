"""What is asked about runs: LangGraph's threads handlers are asked about them, too."""

from collections.abc import Mapping
from typing import Any

from relayrun_api.assistants.permissions import assistant_id_of, assistant_of
from relayrun_api.auth.permissions import Ask, Sent, as_object, says_yes
from relayrun_api.threads.permissions import thread

_OF_RUNS = ("input", "command", "config", "context", "webhook", "interrupt_before", "interrupt_after", "checkpoint_id")
_OF_STARTS = ("multitask_strategy", "if_not_exists", "after_seconds")


def runs_of_thread(sent: Sent) -> list[Ask]:
    """GET /threads/{id}/runs."""
    return [Ask("threads", "search", {"thread_id": sent.path["thread_id"], "metadata": {}})]


def join_run(sent: Sent) -> list[Ask]:
    """To read a run, and to cancel it if its reader leaves."""
    asks = thread("read")(sent)
    return [*asks, *cancel_run(sent)] if says_yes(sent, "cancel_on_disconnect") else asks


def cancel_run(sent: Sent) -> list[Ask]:
    """A cancel of one run."""
    ids = {"thread_id": None, **sent.path}
    marks = {"run_ids": [sent.path.get("run_id")], "status": None}
    action = sent.query.get("action", "interrupt")
    return [Ask("threads", "update", {**ids, "action": action, "metadata": marks})]


def cancel_runs(sent: Sent) -> list[Ask]:
    """POST /runs/cancel."""
    marks = {"run_ids": sent.body.get("run_ids"), "status": sent.body.get("status")}
    value = {
        "thread_id": sent.body.get("thread_id"),
        "action": sent.query.get("action", "interrupt"),
        "metadata": marks,
    }
    return [Ask("threads", "update", value)]


def new_run(sent: Sent) -> list[Ask]:
    """A run that a LangGraph client asks for."""
    return asked_of_run(sent.body, sent.path.get("thread_id"))


def new_runs(sent: Sent) -> list[Ask]:
    """POST /runs/batch."""
    return [ask for body in sent.body for ask in asked_of_run(body, None)]


def asked_of_run(body: dict[str, Any], thread_id: str | None, *, if_not_exists: str = "reject") -> list[Ask]:
    """What the start of a run on a thread asks, whichever route its body came by."""
    kwargs = {name: body.get(name) for name in _OF_RUNS}
    config = as_object(kwargs["config"])
    kwargs["config"] = {**config, "configurable": as_object(config.get("configurable"))}
    value = {
        "thread_id": thread_id,
        "assistant_id": assistant_id_of(body.get("assistant_id")),
        "run_id": None,
        "status": "pending",
        "metadata": as_object(body.get("metadata")),
        "prevent_insert_if_inflight": body.get("multitask_strategy") == "reject",
        "multitask_strategy": body.get("multitask_strategy") or "enqueue",
        "if_not_exists": body.get("if_not_exists") or if_not_exists,
        "after_seconds": body.get("after_seconds") or 0,
        "kwargs": kwargs,
    }

    def write(written: Mapping[str, Any]) -> None:
        changed = as_object(written.get("kwargs"))
        body.update({name: changed[name] for name in _OF_RUNS if name in changed and changed[name] != kwargs[name]})
        body.update({name: written[name] for name in _OF_STARTS if name in written and written[name] != value[name]})
        body["metadata"] = written.get("metadata")

    return [Ask("threads", "create_run", value, write), *assistant_of(body)]
