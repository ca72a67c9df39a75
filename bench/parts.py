"""Which process belongs to which part of a server, and what CPU and memory each part has used."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from pathlib import Path

import psutil

from bench.servers import Server

ALL = "the whole server"
CLIENT = "the client (this bench)"
_PARTS = (
    ("relayrun_api", "api"),
    ("relayrun_runner", "runners"),
    ("relayrun_core.forkserver", "runners"),
    ("relayrun_operator", "operator"),
)


def cpu_seconds(server: Server) -> dict[str, float]:
    """CPU time by part since each process began, with the children that postgres has reaped."""
    used: defaultdict[str, float] = defaultdict(float)
    for process in processes(server):
        part = _part(process, server)
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used[part] += times.user + times.system
            if part == "postgres":
                # Connections come and go: the postmaster keeps the sum of those that ended.
                used[part] += times.children_user + times.children_system
    return dict(used)


def cpu_ms_per_run(used: dict[str, float], runs: int) -> dict[str, float]:
    """CPU seconds by part as ms a run, with the sum of the server's parts."""
    if not runs:
        return {}
    told = {part: seconds * 1000 / runs for part, seconds in sorted(used.items())}
    return told | {ALL: sum(ms for part, ms in told.items() if part != CLIENT)}


def memory_mb(server: Server) -> dict[str, float]:
    """Memory by part, in MB, shared pages counted once (PSS); several processes of a part are added up."""
    used: defaultdict[str, float] = defaultdict(float)
    for process in processes(server):
        with contextlib.suppress(psutil.Error):
            used[_part(process, server)] += process.memory_full_info().pss / 1e6
    return dict(used)


def processes(server: Server) -> list[psutil.Process]:
    """All living processes of a server that this bench started."""
    found = {}
    for root in [*([] if server.pid is None else [server.pid]), *server.also, *_postmasters(server.data)]:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(root)
            for one in [process, *process.children(recursive=True)]:
                found[one.pid] = one
    return list(found.values())


def _part(process: psutil.Process, server: Server) -> str:
    with contextlib.suppress(psutil.Error):
        command = " ".join(process.cmdline())
        if process.name().startswith("postgres"):
            return "postgres"
        for module, part in _PARTS:
            if module in command:
                return part
        if server.cluster is not None:
            return "kubernetes"
    return "world" if server.name == "relayrun dev" else "server"


def _postmasters(data: Path | None) -> list[int]:
    """The embedded Postgres is no child of `dev`: it outlives it."""
    if data is None:
        return []
    return [int(file.read_text().split()[0]) for file in data.rglob("postmaster.pid")]
