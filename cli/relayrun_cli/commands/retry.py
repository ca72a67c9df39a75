"""`relayrun retry`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relayrun_cli.api import Api, AsJson, examples, with_api
from relayrun_cli.attending import attend, command, refusals_are_usage
from relayrun_cli.commands.run import Detach, Wait, manner_of, start_run
from relayrun_cli.errors import NoApiError, UsageError
from relayrun_cli.runs import UNFINISHED, find_run, status_of

_KEPT = ("config", "stream_mode", "interrupt_before", "interrupt_after", "durability")


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command(
        "retry",
        epilog=examples(
            "relayrun retry refund-4711",
            "relayrun retry 0199a3c4-7b1e-7c60-9b8f-3f6f0a7d9e21 --wait",
            "Exit codes: those of relayrun run.",
        ),
    )(with_api(retry))


def retry(
    api: Api,
    run: Annotated[str, typer.Argument(metavar="RUN|THREAD", help="The id of a run, or a thread: its newest run.")],
    wait: Wait = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Continue a failed or cancelled run from its last checkpoint, for example after a fix.

    Continues with the step that failed. Completed steps are not repeated, not even parallel ones.
    Creates a new run on the same thread.
    """
    how = manner_of(wait=wait, detach=detach)
    with refusals_are_usage():
        found = find_run(api, run)
        _check(api, found)
        body = _body(api, found)
    attend(api, start_run(api, found["thread_id"], body), how, as_json=as_json)


def _check(api: Api, run: dict[str, Any]) -> None:
    run_id, thread_id, status = run["run_id"], run["thread_id"], status_of(run)
    if status in UNFINISHED:
        raise UsageError(f"Run {run_id} has not ended: follow it with {command(api, 'logs', '-f', run_id)}")
    if status == "success":
        raise UsageError(f"Run {run_id} is done: there is nothing to retry.")
    if status == "interrupted":
        answer = command(api, "run", run["graph"], "--thread", thread_id, "--resume", "JSON")
        raise UsageError(f"Run {run_id} waits for input: answer with {answer}")
    [newest] = api.call("GET", f"/threads/{thread_id}/runs?limit=1")
    if newest["run_id"] != run_id:
        raise UsageError(
            f"Thread {thread_id} has a newer run, {newest['run_id']}: only the newest run of a thread can be retried."
        )


def _body(api: Api, run: dict[str, Any]) -> dict[str, Any]:
    asked = run["kwargs"]
    body = {key: asked[key] for key in _KEPT if asked.get(key)}
    if not body.get("config", {}).get("configurable"):
        body["context"] = asked.get("context") or None  # else both say the same, and one of them may
    return body | {
        "assistant_id": run.get("assistant_id") or run["graph"],
        "input": asked.get("input") if _took_nothing(api, run) else None,
        "stream_subgraphs": bool(asked.get("subgraphs")),
        "metadata": {**(run.get("metadata") or {}), "retry_of": run["run_id"]},
        # Somebody may have started a run since we looked.
        "multitask_strategy": "reject",
    }


def _took_nothing(api: Api, run: dict[str, Any]) -> bool:
    """Whether the run left no checkpoint, as one whose graph could not be loaded: then its input is sent again.

    An answer to a question is not: where the question is still open, the graph asks it again, and where a node has
    taken the answer, LangGraph kept that.
    """
    if run["kwargs"].get("command") is not None:
        return False
    state = api.call("GET", f"/threads/{run['thread_id']}/state")
    about = state.get("metadata") or {}
    if about.get("source") == "last_finish":
        raise NoApiError(
            "No runner with this graph is ready, so the run cannot continue yet: look at relayrun dev's output."
        )
    return bool(about.get("run_id") != run["run_id"])
