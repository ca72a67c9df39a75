"""`relayrun run`."""

from __future__ import annotations

import difflib
import time
from typing import Annotated, Any
from uuid import uuid4

import typer

from relayrun_cli.api import Api, AsJson, examples, quoted, with_api
from relayrun_cli.arguments import read_json, read_object
from relayrun_cli.attending import Manner, attend, refusals_are_usage, say_lost
from relayrun_cli.errors import NoApiError, RefusedError, UsageError
from relayrun_cli.runs import RunRef

STREAM_MODES = ("messages-tuple", "updates", "custom")
# Who waits for the values must get this run's, not those of the thread's next one.
WAIT_MODES = ("values", *STREAM_MODES)
_UNPROCESSABLE = 422
# Longer than a restart of the API takes.
_RECONNECT_SECONDS = 15.0
_PAUSE_SECONDS = 0.2

_JSON = "JSON|@FILE|-"

Thread = Annotated[
    str | None, typer.Option("--thread", "-t", metavar="THREAD", help="A name or id; default: a new thread.")
]
Input = Annotated[str | None, typer.Option("--input", "-i", metavar=_JSON, help="The input; default: {}.")]
Resume = Annotated[
    str | None,
    typer.Option(metavar=_JSON, help="The answer to the question that the thread waits for, instead of an input."),
]
Modes = Annotated[
    list[str] | None,
    typer.Option(metavar="MODE", help=f"What to stream; may be repeated. Default: {', '.join(STREAM_MODES)}."),
]
Config = Annotated[str | None, typer.Option(metavar=_JSON, help="LangGraph's config: recursion_limit, configurable…")]
Context = Annotated[str | None, typer.Option(metavar=_JSON, help="The context, for a graph with a context schema.")]
Wait = Annotated[bool, typer.Option("--wait", help="Print only the final values.")]
Detach = Annotated[bool, typer.Option("--detach", help="Print the ids and return at once.")]


def register(cli: typer.Typer) -> None:
    """Add the verb to the command line."""
    cli.command(
        "run",
        epilog=examples(
            """relayrun run refund -i '{"step_seconds": 1}'""",
            "relayrun run refund --thread refund-4711 -i @order.json --wait",
            "relayrun run refund --thread refund-4711 --resume true",
            "Exit codes: 0 done, 1 graph error, 2 usage, 3 waiting for input, 4 cancelled or timed out, 5 no API.",
        ),
    )(with_api(run))


def run(
    api: Api,
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="A graph of langgraph.json, or an assistant's id.")],
    thread: Thread = None,
    given: Input = None,
    resume: Resume = None,
    wait: Wait = False,
    detach: Detach = False,
    stream_mode: Modes = None,
    config: Config = None,
    context: Context = None,
    as_json: AsJson = False,
) -> None:
    """Run a graph and show its events. Ctrl-C ends this command, not the run."""
    how = manner_of(wait=wait, detach=detach)
    body: dict[str, Any] = {
        "assistant_id": graph,
        **_input(given, resume),
        "stream_mode": stream_mode or list(WAIT_MODES if how is Manner.WAIT else STREAM_MODES),
        "if_not_exists": "create",
    }
    if config is not None:
        body["config"] = read_object("--config", config)
    if context is not None:
        body["context"] = read_object("--context", context)
    attend(api, start_run(api, thread or str(uuid4()), body), how, as_json=as_json)


def manner_of(*, wait: bool, detach: bool) -> Manner:
    """What the flags ask for."""
    if wait and detach:
        raise UsageError("--wait and --detach exclude each other.")
    return Manner.WAIT if wait else Manner.DETACH if detach else Manner.SHOW


def start_run(api: Api, thread: str, body: dict[str, Any]) -> RunRef:
    """Start a run, once, also when the API goes away before it has answered. Raises UsageError for what it refuses."""
    with refusals_are_usage():
        try:
            return RunRef.of(_post(api, f"/threads/{quoted(thread)}/runs", body), thread)
        except RefusedError as error:
            if error.status == _UNPROCESSABLE and (unknown := _unknown_graph(api, body["assistant_id"])):
                raise UsageError(unknown) from error
            raise


def _post(api: Api, path: str, body: dict[str, Any]) -> Any:
    import httpx

    # The same key each time: an API that took the request and died before its answer starts no second run.
    headers = {"Idempotency-Key": str(uuid4())}
    until, lost = time.monotonic() + _RECONNECT_SECONDS, False
    while True:
        try:
            return api.call("POST", path, body, headers=headers)
        except NoApiError as error:
            # Where nothing ever listened the address may be wrong; what breaks off or is not ready yet comes back.
            if (not lost and isinstance(error.__cause__, httpx.ConnectError)) or time.monotonic() > until:
                raise
            if not lost:
                say_lost(error)
            lost = True
        time.sleep(_PAUSE_SECONDS)


def _input(given: str | None, resume: str | None) -> dict[str, Any]:
    if resume is None:
        return {"input": {} if given is None else read_json("-i", given)}
    if given is not None:
        raise UsageError("-i and --resume exclude each other: a question is answered, or the thread gets new input.")
    answer = read_json("--resume", resume)
    if answer is None:
        raise UsageError("LangGraph does not accept null as an answer: give --resume another value.")
    return {"command": {"resume": answer}}


def _unknown_graph(api: Api, graph: str) -> str | None:
    """The sentence about a graph that does not exist, None if it does."""
    found = api.call("POST", "/assistants/search", {"limit": 1000})
    names = sorted({assistant["graph_id"] for assistant in found})
    if graph in {assistant["assistant_id"] for assistant in found}.union(names):
        return None
    near = difflib.get_close_matches(graph, names, n=1)
    if not names:
        return f"There is no graph {graph!r}: no runner has loaded any; GET {api.url}/status says why."
    return (
        f"There is no graph {graph!r}{f': did you mean {near[0]!r}?' if near else '.'} There are: {', '.join(names)}."
    )
