"""What is asked about runs: LangGraph's threads handlers are asked about them, too."""

from collections.abc import Mapping
from typing import Any

from relayrun_api.assistants.permissions import assistant_id_of, assistant_of
from relayrun_api.auth.bodies import as_object, says_yes
from relayrun_api.auth.permissions import Ask, Sent
from relayrun_api.threads.permissions import thread

_OF_RUNS = ("input", "command", "config", "context", "webhook", "interrupt_before", "interrupt_after", "checkpoint_id")
_OF_STARTS = ("multitask_strategy", "if_not_exists", "after_seconds")
_STARTING = ("run.start", "input.respond", "state.fork")


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
    return _run(sent.body, sent.path.get("thread_id"))


def new_runs(sent: Sent) -> list[Ask]:
    """POST /runs/batch."""
    return [ask for body in sent.body for ask in _run(body, None)]


def new_answer(sent: Sent) -> list[Ask]:
    """A run by one of the simple endpoints."""
    body = sent.body
    message = {"messages": [{"role": "user", "content": body["message"]}]} if body.get("message") else None
    kwargs = {"input": message, "command": {"resume": body["resume"]} if "resume" in body else None}
    return _run(
        {"assistant_id": body.get("assistant_id"), "if_not_exists": "create", **kwargs},
        body.get("thread_id") or "default_user",
    )


def command(sent: Sent) -> list[Ask]:
    """A command of the event protocol: one that starts a run, or one that reads."""
    body, thread_id = sent.body, sent.path["thread_id"]
    if body.get("method") not in _STARTING:
        return [Ask("threads", "read", {"thread_id": thread_id})]
    params = body.setdefault("params", {})
    return _run(params, thread_id, if_not_exists="create")


def _run(body: dict[str, Any], thread_id: str | None, *, if_not_exists: str = "reject") -> list[Ask]:
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
