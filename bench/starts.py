"""How long a server takes to start where it has run before, and how soon a killed runner is replaced."""

from __future__ import annotations

import asyncio
import time

import psutil

from bench.kills import POOL_LIMIT_SECONDS, listed_runners, pool_is_ready, refuse_foreign
from bench.parts import processes
from bench.processes import started
from bench.runs import RunFailedError
from bench.samples import ReplacementSample
from bench.servers import Server, Start

_POLL_SECONDS = 0.002


def measure_start(start: Start) -> float:
    """Seconds from the command to the first `/ok`, in a folder where it has been started before."""
    began = time.perf_counter()
    with started(start.name, start.command, start.folder, start.url):
        return time.perf_counter() - began


async def measure_replacements(server: Server, kills: int, runners: int) -> list[ReplacementSample]:
    """So many kill -9 of a runner without a run, each with the whole pool ready at its start."""
    samples = []
    for _ in range(kills):
        await pool_is_ready(server, runners)
        samples.append(await _one_replacement(server, runners))
    return samples


async def _one_replacement(server: Server, runners: int) -> ReplacementSample:
    before = _processes_by_name(server)
    name, killed = next((name, pid) for name, pid in before.items() if _ready(server).get(name))
    refuse_foreign(killed, server)
    psutil.Process(killed).kill()
    began = time.perf_counter()
    while not (len(new := {name for name, ready in _ready(server).items() if ready} - {name}) >= runners):
        if time.perf_counter() - began > POOL_LIMIT_SECONDS:
            raise RunFailedError(f"runner {name} was not replaced within {POOL_LIMIT_SECONDS:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)
    took = time.perf_counter() - began
    [replacement] = [pid for name, pid in _processes_by_name(server).items() if name in new - before.keys()]
    times = psutil.Process(replacement).cpu_times()
    return ReplacementSample(took * 1000, (times.user + times.system) * 1000)


def _ready(server: Server) -> dict[str, bool]:
    assert server.data is not None, "only of a server that we started"
    return {runner["name"]: runner["ready"] for runner in listed_runners(server.data / "runners.json")}


def _processes_by_name(server: Server) -> dict[str, int]:
    found = [process for process in processes(server) if "relayrun_runner" in " ".join(process.cmdline())]
    return {process.environ().get("RELAYRUN_NAME", ""): process.pid for process in found}
