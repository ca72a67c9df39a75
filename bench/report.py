"""The table: for the terminal, as Markdown, and everything as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bench.parts import ALL, CLIENT
from bench.samples import KillSample, Results, column, p50, p99, summary

Row = tuple[str, Callable[[Results], str]]
NOTHING = "-"


def rows(all_results: list[Results]) -> list[tuple[str, list[str]]]:
    """What was measured, and each server's answer, in the order of the table."""
    client_counts = sorted({count for results in all_results for count in results.by_clients})
    listed: list[Row] = []
    for clients in client_counts:
        listed += _run_rows(clients)
    if any(results.tokens for results in all_results):
        listed.append(("create → first token, 1 client (p50 / p99)", _token_times("first_token_ms")))
        listed.append(("create → the answer's end, 100 tokens 2 ms apart (p50 / p99)", _token_times("end_ms")))
    if any(results.second_starts_ms for results in all_results):
        listed.append(("second start in a folder → /ok (p50 / p99)", lambda results: _pair(results.second_starts_ms)))
    if any(results.replacements for results in all_results):
        listed += _replacement_rows()
    if any(results.kills for results in all_results):
        listed += _kill_rows()
    for clients in client_counts:
        parts = {part: None for results in all_results for part in results.cpu_ms_per_run.get(clients, {})}
        listed += [_cpu_row(clients, part) for part in sorted(parts, key=lambda part: part in (ALL, CLIENT))]
    parts = {part: None for results in all_results for part in results.idle_mb}
    listed += [(f"memory after the runs (PSS), {part}", _memory(part)) for part in parts]
    return [(title, [tell(results) for results in all_results]) for title, tell in listed]


def print_table(all_results: list[Results], where: str, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="3 nodes, no LLM, everything on this machine", title_style="bold")
    table.add_column("")
    for results in all_results:
        table.add_column(results.server, justify="right")
    for title, answers in rows(all_results):
        table.add_row(title, *answers)
    console.print(table)
    console.print(where, style="dim")


def markdown(all_results: list[Results], where: str) -> str:
    """The same table in Markdown, with the machine and the versions below."""
    lines = ["| |" + "".join(f" {results.server} |" for results in all_results)]
    lines.append("|---|" + "---:|" * len(all_results))
    lines += [f"| {title} |" + "".join(f" {answer} |" for answer in answers) for title, answers in rows(all_results)]
    versions = ", ".join(f"{results.server}: {results.version}" for results in all_results)
    return "\n".join([*lines, "", f"{where}; {versions}", ""])


def write(all_results: list[Results], where: str, folder: Path) -> None:
    """results.json (every sample), results.md and results.png in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"machine": where, "servers": [results.as_json() for results in all_results]}
    (folder / "results.json").write_text(json.dumps(told, indent=1))
    (folder / "results.md").write_text(markdown(all_results, where))
    from bench.plot import draw  # late: matplotlib is slow to import

    draw(all_results, where, folder / "results.png")


def machine() -> str:
    """Where and when this was measured, and how busy it was then: call it before anything is started."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {system}, {when}, load average before {os.getloadavg()[0]:.1f}"


def clients_words(clients: int) -> str:
    """As in `1 client`, `20 clients`."""
    return "1 client" if clients == 1 else f"{clients} clients"


def _run_rows(clients: int) -> list[Row]:
    at = clients_words(clients)
    return [
        (f"create → first event, {at} (p50 / p99)", _run_times(clients, "first_event_ms")),
        (f"create → first graph event, {at} (p50 / p99)", _run_times(clients, "first_graph_event_ms")),
        (f"create → run's end, {at} (p50 / p99)", _run_times(clients, "end_ms")),
        (f"runs a second, {at}", lambda results: _rate(results, clients)),
    ]


def _kill_rows() -> list[Row]:
    return [
        ("kill -9 of the runner → next event (p50 / p99)", _kill_times("next_event_ms")),
        ("kill -9 of the runner → next finished step (p50 / p99)", _kill_times("next_step_ms")),
        ("kills; steps told twice; steps lost", lambda results: _kill_counts(results.kills)),
    ]


def _replacement_rows() -> list[Row]:
    return [
        ("kill -9 of an idle runner → its replacement ready (p50 / p99)", _replacement("ready_ms")),
        ("CPU until the replacement is ready (p50 / p99)", _replacement("cpu_ms")),
    ]


def _replacement(name: str) -> Callable[[Results], str]:
    return lambda results: _pair(column(results.replacements, name))


def _run_times(clients: int, name: str) -> Callable[[Results], str]:
    return lambda results: _pair(column(results.by_clients[clients].samples, name))


def _token_times(name: str) -> Callable[[Results], str]:
    return lambda results: _pair(column(results.tokens, name))


def _kill_times(name: str) -> Callable[[Results], str]:
    return lambda results: _pair(column(results.kills, name)) if results.kills else NOTHING


def _kill_counts(kills: list[KillSample]) -> str:
    if not kills:
        return "a kill ends the server"
    return f"{len(kills)}; {sum(k.repeated_steps for k in kills)}; {sum(k.missing_steps for k in kills)}"


def _rate(results: Results, clients: int) -> str:
    told = summary(results.by_clients[clients])
    failed = len(results.by_clients[clients].errors)
    return f"{told['runs_per_second']:.1f} (n = {told['runs']:.0f}{f', {failed} failed' if failed else ''})"


def _cpu_row(clients: int, part: str) -> Row:
    def tell(results: Results) -> str:
        used = results.cpu_ms_per_run.get(clients, {})
        return f"{used[part]:.1f} ms" if part in used else NOTHING

    return f"CPU a run, {clients_words(clients)}: {part}", tell


def _memory(part: str) -> Callable[[Results], str]:
    return lambda results: f"{results.idle_mb[part]:.0f} MB" if part in results.idle_mb else NOTHING


def _pair(values: list[float]) -> str:
    return f"{_ms(p50(values))} / {_ms(p99(values))}" if values else NOTHING


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
