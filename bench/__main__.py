"""`python -m bench`: relayrun dev and langgraph dev side by side, or any one server by its URL."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from rich.console import Console

from bench import kills, parts, report, runs, tokens
from bench.cluster import KindCluster
from bench.processes import ServerStartError
from bench.samples import Results, Throughput
from bench.servers import (
    REPOSITORY,
    Server,
    Start,
    langgraph_dev,
    langgraph_start,
    relayrun_dev,
    relayrun_start,
)
from bench.starts import measure_replacements, measure_start

RESULTS = REPOSITORY / ".bench"
CLIENTS = (1, 20, 100)


def main() -> int:
    """Parses the arguments, measures, prints; the exit code is 1 when anything failed."""
    options = _arguments()
    console = Console()
    where = report.machine()
    try:
        second_starts = _second_starts(options, console)
        with ExitStack() as stack:
            servers = _servers(options, stack, console)
            results = asyncio.run(_measure(servers, options, console))
        for one in results:
            one.second_starts_ms = second_starts.get(one.server, [])
    except ServerStartError as failure:
        console.print(f"[bold red]not measured:[/] {failure}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    report.print_table(results, where, console)
    report.write(results, where, RESULTS)
    console.print(f"every sample, this table, a picture: {RESULTS}/results.json, results.md, results.png")
    return _failures(results, console)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--url", help="measure this server, which must offer the graphs of bench/graphs, and start none"
    )
    parser.add_argument("--kind", metavar="CLUSTER", help="measure the release in this kind cluster of `make cluster`")
    parser.add_argument("--namespace", default="relayrun", help="where in the cluster the release is (relayrun)")
    parser.add_argument("--only", choices=("relayrun", "langgraph"), help="start and measure only this one")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which the servers take turns (3)")
    parser.add_argument("--seconds", type=float, default=6.0, help="most seconds of one round of one server (6)")
    parser.add_argument("--runs", type=int, default=200, help="most runs of one round of one server (200)")
    parser.add_argument("--answers", type=int, default=30, help="answers of a hundred tokens (30)")
    parser.add_argument("--kills", type=int, default=20, help="kills of a runner; 0 for none (20)")
    parser.add_argument("--replacements", type=int, default=30, help="kills of a runner without a run; 0 for none (30)")
    parser.add_argument("--starts", type=int, default=5, help="further starts in the same folder; 0 for none (5)")
    parser.add_argument("--runners", type=int, default=2, help="runners of relayrun dev, so one is spare (2)")
    return parser.parse_args()


def _second_starts(options: argparse.Namespace, console: Console) -> dict[str, list[float]]:
    """By server, in ms, in turns; nothing else runs."""
    if options.url or options.kind or not options.starts:
        return {}
    makers: dict[str, Callable[[], contextlib.AbstractContextManager[Start]]] = {
        "relayrun": lambda: relayrun_start(options.runners),
        "langgraph": langgraph_start,
    }
    with ExitStack() as stack:
        makers_chosen = [options.only] if options.only else list(makers)
        begun = [stack.enter_context(makers[name]()) for name in makers_chosen]
        took: dict[str, list[float]] = {start.name: [] for start in begun}
        for number in range(options.starts + 1):
            for start in begun:
                console.print(f"start {number + 1}, {start.name} …", style="dim")
                took[start.name].append(measure_start(start) * 1000)
        return {name: times[1:] for name, times in took.items()}


def _servers(options: argparse.Namespace, stack: ExitStack, console: Console) -> list[Server]:
    if options.url:
        return [Server(options.url, options.url)]
    if options.kind:
        console.print(f"an Agent for the bench in kind cluster {options.kind} …", style="dim")
        return [stack.enter_context(KindCluster(options.kind, options.namespace).serving(options.runners))]
    starts: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
        "relayrun": lambda: relayrun_dev(options.runners),
        "langgraph": langgraph_dev,
    }
    chosen = [options.only] if options.only else list(starts)
    servers = []
    for name in chosen:
        console.print(f"starting {name} dev …", style="dim")
        servers.append(stack.enter_context(starts[name]()))
    return servers


async def _measure(servers: list[Server], options: argparse.Namespace, console: Console) -> list[Results]:
    results = {server.name: Results(server.name, server.version) for server in servers}
    for server in servers:
        if server.killable:
            await kills.pool_is_ready(server, options.runners)
    for clients in CLIENTS:
        for server in servers:
            await runs.warm_up(server.url, clients)
        used: dict[str, dict[str, float]] = {}
        for number in range(options.rounds):
            for server in servers:
                console.print(f"{report.clients_words(clients)}, round {number + 1}, {server.name} …", style="dim")
                await _round(server, clients, options, results[server.name], used)
    for server in servers:
        console.print(f"{options.answers} streamed answers, {server.name} …", style="dim")
        results[server.name].tokens = await tokens.measure_tokens(server.url, options.answers)
    for server in servers:
        results[server.name].idle_mb = parts.memory_mb(server)
        await _kill(server, options, results[server.name], console)
    return list(results.values())


async def _kill(server: Server, options: argparse.Namespace, results: Results, console: Console) -> None:
    if options.replacements and server.data is not None:
        console.print(f"{options.replacements} kills of an idle runner, {server.name} …", style="dim")
        results.replacements = await measure_replacements(server, options.replacements, options.runners)
    if options.kills and server.killable:
        console.print(f"{options.kills} kills of a runner, {server.name} …", style="dim")
        results.kills = await kills.measure_kills(server, options.kills, options.runners)


async def _round(
    server: Server,
    clients: int,
    options: argparse.Namespace,
    results: Results,
    used: dict[str, dict[str, float]],
) -> None:
    before, own_before = parts.cpu_seconds(server), time.process_time()
    measured = await runs.measure(server.url, clients, options.seconds, options.runs)
    after, own_after = parts.cpu_seconds(server), time.process_time()
    so_far = results.by_clients.setdefault(clients, Throughput(clients))
    so_far.add(measured)
    total = used.setdefault(server.name, {})
    for part, seconds in after.items():
        total[part] = total.get(part, 0.0) + seconds - before.get(part, 0.0)
    total[parts.CLIENT] = total.get(parts.CLIENT, 0.0) + own_after - own_before
    results.cpu_ms_per_run[clients] = parts.cpu_ms_per_run(total, so_far.runs)


def _failures(results: list[Results], console: Console) -> int:
    failed = 0
    for one in results:
        errors = [error for throughput in one.by_clients.values() for error in throughput.errors]
        errors += [f"{kill.missing_steps} steps lost after a kill" for kill in one.kills if kill.missing_steps]
        for error in sorted(set(errors)):
            console.print(f"[bold red]{one.server}:[/] {error}", highlight=False)
        failed += len(errors)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
