"""`python -m bench.chaos`: many runs while a random process is killed every second.

Half of the runs are of ten steps in a row, half of a fan-out with a subgraph. All must succeed, every step's effect
must be in a ledger, and no step that had finished may be told twice or done again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from bench.chaos import kind, local
from bench.chaos.clients import Clients
from bench.chaos.kind import KindTarget, kind_target
from bench.chaos.local import LocalTarget, local_target
from bench.chaos.report import Outcome, print_outcome
from bench.chaos.seen import by_run, read_ledger
from bench.chaos.verdict import judge
from bench.chaos.victims import Killer
from bench.parts import cpu_seconds
from bench.processes import ServerStartError
from bench.servers import REPOSITORY

PROGRESS_SECONDS = 5.0


def main() -> int:
    """The exit code is 0 when all went well, 1 when something did not, 2 for wrong arguments."""
    options = _arguments()
    console = Console(stderr=options.json is not None and str(options.json) == "-")
    try:
        if options.kind:
            with kind_target(options.kind, options.namespace, options.runners) as cluster:
                outcome = asyncio.run(chaos(cluster, options, console))
        else:
            with local_target(options.runners) as dev:
                outcome = asyncio.run(chaos(dev, options, console))
                if options.keep_log:
                    options.keep_log.write_text(dev.log)
    except ServerStartError as failure:
        console.print(f"[bold red]not started:[/] {failure}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    print_outcome(outcome, console)
    told = json.dumps(outcome.as_json(), indent=1)
    if options.json is not None and str(options.json) == "-":
        sys.stdout.write(f"{told}\n")
    elif options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(told)
    return 0 if outcome.well else 1


async def chaos(target: LocalTarget | KindTarget, options: argparse.Namespace, console: Console) -> Outcome:
    """All runs, with the killing going on until the last of them has ended."""
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    await target.ready()
    console.print(f"{options.runs} runs, {options.clients} clients, {options.runners} runners; ", end="")
    console.print(f"every {options.every:g} s one of {', '.join(options.victims)} is killed; seed {seed}")
    clients = Clients(target.url, pause_seconds=options.step_seconds)
    killer = Killer(target, options.victims, every_seconds=options.every, most=options.kills, seed=seed)
    before, began = cpu_seconds(target.server), time.monotonic()
    in_time = True
    try:
        async with asyncio.timeout(options.limit), asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(killer.run()),
                tasks.create_task(_tell(clients, killer, began, console)),
            ]
            await clients.run(options.runs, options.clients, options.seconds)
            for task in beside:
                task.cancel()
    except TimeoutError:
        in_time = False
        console.print(f"[bold red]not finished within {options.limit:.0f} s[/]")
    seconds = time.monotonic() - began
    effects = by_run(read_ledger(target.fetch_ledger()))
    return Outcome(
        asked=len(clients.runs),
        seconds=seconds,
        in_time=in_time,
        kills=Counter(kill.victim for kill in killer.kills),
        nobody=killer.nobody,
        verdict=judge(clients.runs, effects, killer.kills),
        faults=clients.faults,
        refusals=clients.refusals,
        # A node takes what its processes have used with it.
        cpu={} if killer.cpu.get("node") else _used(before, cpu_seconds(target.server), killer.cpu),
    )


async def _tell(clients: Clients, killer: Killer, began: float, console: Console) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)  # the pace of the telling
        passed = time.monotonic() - began
        runs = f"{clients.ended} of {len(clients.runs)} runs that began have ended"
        console.print(f"{passed:5.0f} s: {runs}, {len(killer.kills)} kills", style="dim")


def _used(before: Mapping[str, float], after: Mapping[str, float], killed: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds by part: of those who live, and of those who were killed."""
    names = {"runner": "runners", "parent": "runners", "pod": "runners", "dev": "world"}
    used = {part: seconds - before.get(part, 0.0) for part, seconds in after.items()}
    for victim, seconds in killed.items():
        part = names.get(victim, victim)
        used[part] = used.get(part, 0.0) + seconds
    return used


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", metavar="CLUSTER", help="on the release in this kind cluster of `make cluster`")
    parser.add_argument("--namespace", default="relayrun", help="where in the cluster the release is (relayrun)")
    parser.add_argument("--runs", type=int, default=300, help="how many runs (300)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after so long no run begins (no limit)")
    parser.add_argument("--clients", type=int, default=30, help="clients at once, each with one run at a time (30)")
    parser.add_argument("--runners", type=int, default=3, help="runners (3)")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="time between two kills (1)")
    parser.add_argument("--kills", type=int, help="how many kills at most (no limit)")
    parser.add_argument(
        "--victims",
        default="runner",
        help=f"whom to kill, with commas between, or `all`: {', '.join(local.VICTIMS)}; on a cluster "
        f"{', '.join(kind.VICTIMS)} (runner)",
    )
    parser.add_argument("--step-seconds", type=float, default=0.1, help="how long a step lasts (0.1)")
    parser.add_argument("--limit", type=float, default=600.0, metavar="SECONDS", help="when to give up (600)")
    parser.add_argument("--seed", type=int, help="who is killed, again as then; the times are the machine's own")
    parser.add_argument(
        "--json", type=Path, default=REPOSITORY / ".bench" / "chaos.json", help="where to write it; - for stdout"
    )
    parser.add_argument("--keep-log", type=Path, help="where to copy dev's log")
    options = parser.parse_args()
    known = kind.VICTIMS if options.kind else local.VICTIMS
    options.victims = list(known) if options.victims == "all" else options.victims.split(",")
    if unknown := [victim for victim in options.victims if victim not in known]:
        parser.error(f"no victims here: {', '.join(unknown)}; there are {', '.join(known)} and all")
    return options


if __name__ == "__main__":
    sys.exit(main())
