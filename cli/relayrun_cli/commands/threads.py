"""`relayrun threads`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relayrun_cli.api import Api, AsJson, examples, quoted, with_api
from relayrun_cli.errors import UsageError
from relayrun_cli.output import age, compact, print_columns, print_json, shortened, stderr, stdout
from relayrun_core.printable import one_line

Thread = Annotated[str, typer.Argument(metavar="THREAD", help="The thread's name or id.")]


def register(cli: typer.Typer) -> None:
    """Add the verb and its own verbs to the command line."""
    group = typer.Typer()
    group.callback(
        invoke_without_command=True,
        epilog=examples(
            "relayrun threads --status interrupted",
            "relayrun threads show refund-4711 --json",
            "relayrun threads delete refund-4711",
        ),
    )(listing)
    group.command("show", epilog=examples("relayrun threads show refund-4711"))(with_api(show))
    group.command("delete", epilog=examples("relayrun threads delete refund-4711 --yes"))(with_api(delete))
    cli.add_typer(group, name="threads")


def _threads(
    api: Api,
    context: typer.Context,
    status: Annotated[
        str | None, typer.Option(help="Only threads with this status: idle, busy, interrupted or error.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many threads to list, last used first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List threads, last used first; show or delete one."""
    if context.invoked_subcommand is not None:
        _refuse_lost_options(context)
        return
    wanted: dict[str, Any] = {"limit": limit} | ({"status": status} if status else {})
    found = api.call("POST", "/threads/search", wanted)
    if as_json:
        print_json(found, as_json=True)
    elif found:
        print_columns(["THREAD", "ID", "GRAPH", "STATUS", "USED"], [_row(thread) for thread in found])
    else:
        stderr().print("No threads.")


listing = with_api(_threads)


def show(api: Api, thread: Thread, as_json: AsJson = False) -> None:
    """Show a thread's state: its values, its next steps, and what it waits for."""
    path = f"/threads/{quoted(thread)}"
    found, state = api.call("GET", path), api.call("GET", f"{path}/state")
    if as_json:
        print_json(state, as_json=True)
        return
    console = stdout()
    for name, text in _facts(found, state):
        console.print(f"{name:<11}", style="bold", end="")
        console.print(one_line(text))
    print_json(state.get("values") or {}, as_json=False)


def delete(
    api: Api,
    thread: Thread,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a thread with its runs, journals and checkpoints. Refused while one of its runs is unfinished."""
    path = f"/threads/{quoted(thread)}"
    found = api.call("GET", path)
    if not yes:
        typer.confirm(one_line(f"Delete thread {_name(found)} with all its runs?"), abort=True)
    api.call("DELETE", path)
    stdout().print(one_line(f"Deleted thread {_name(found)}."))


def _refuse_lost_options(context: typer.Context) -> None:
    """An option before the inner verb would reach nobody."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"Write options after the verb: relayrun threads {context.invoked_subcommand} THREAD --…")


def _row(thread: dict[str, Any]) -> list[str]:
    graph = (thread.get("metadata") or {}).get("graph_id") or ""
    return [_name(thread), thread["thread_id"], str(graph), thread["status"], age(thread.get("updated_at"))]


def _name(thread: dict[str, Any]) -> str:
    return str(thread.get("name") or thread["thread_id"])


def _facts(thread: dict[str, Any], state: dict[str, Any]) -> list[tuple[str, str]]:
    about = state.get("metadata") or {}
    facts = [("Thread", f"{_name(thread)}  {thread['thread_id']}"), ("Status", thread["status"])]
    if state.get("checkpoint_id") or state.get("checkpoint"):
        checkpoint = state.get("checkpoint_id") or state["checkpoint"].get("checkpoint_id")
        facts.append(("Checkpoint", f"{checkpoint}  step {about.get('step', '?')}, {age(state.get('created_at'))} old"))
    if about.get("source") == "last_finish":
        facts.append(("Note", "no runner with its graph is ready: this is the state of its last run's end"))
    if state.get("next"):
        facts.append(("Next", ", ".join(state["next"])))
    failed = (task for task in state.get("tasks") or () if task.get("error"))
    facts += [("Error", f"{task.get('name')}: {shortened(str(task['error']))}") for task in failed]
    asked = state.get("interrupts") or ()
    return [*facts, *(("Waits", f"{compact(entry.get('value'))}  {entry.get('id')}") for entry in asked)]
