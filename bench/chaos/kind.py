"""A release in a kind cluster on this machine as the target: processes in pods are killed, pods deleted."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.chaos.seen import Kill
from bench.chaos.victims import command_of, living
from bench.cluster import AGENT, FIRST_PROCESS, KindCluster, pod_of, run
from bench.parts import processes
from bench.servers import Server

CHAOS = Path(__file__).parent / "agent"
VICTIMS = ("runner", "api", "operator", "postgres", "parent", "pod")
_LEDGER = "/var/local/relayrun-chaos"
_MODULES = {"relayrun_api": "api", "relayrun_operator": "operator"}


class KindTarget:
    """The release, with an Agent of the chaos's graphs whose ledger is a folder of each node."""

    def __init__(self, cluster: KindCluster, server: Server, nodes: Sequence[str], folder: Path) -> None:
        self.server = server
        self.url = server.url
        self._cluster = cluster
        self._nodes = nodes
        self._folder = folder

    async def ready(self) -> None:
        """Nothing is left to wait for."""

    def victims(self) -> Mapping[str, Sequence[psutil.Process]]:
        """See Target."""
        found: defaultdict[str, list[psutil.Process]] = defaultdict(list)
        for process in processes(self.server):
            if not living(process):
                continue
            command = command_of(process)
            if "relayrun_runner" in command:
                if pod_of(process).startswith(f"{AGENT}-"):
                    for part in ("parent", "pod") if FIRST_PROCESS in command else ("runner",):
                        found[part].append(process)
            elif command.startswith("postgres:") or _is_postmaster(process):
                found["postgres"].append(process)
            else:
                for module, part in _MODULES.items():
                    if module in command:
                        found[part].append(process)
        return found

    def kill(self, victim: str, process: psutil.Process) -> Kill:
        """See Target."""
        # With its first process ends all of a container.
        kill = Kill(time.time(), victim, _inner_pid(process) if victim == "runner" else 0, pod_of(process))
        if victim == "pod":
            self._cluster.replace(kill.host)
        else:
            process.kill()
        return kill

    def fetch_ledger(self) -> Path:
        """A copy of the ledger."""
        for node in self._nodes:
            run("docker", "cp", f"{node}:{_LEDGER}/.", str(self._folder))
        return self._folder


@contextlib.contextmanager
def kind_target(name: str, namespace: str, runners: int) -> Iterator[KindTarget]:
    """An Agent of the chaos's graphs beside a release; removed afterwards."""
    cluster, nodes = KindCluster(name, namespace), run("kind", "get", "nodes", "--name", name).split()
    folder = Path(tempfile.mkdtemp(prefix="relayrun-chaos-"))
    for node in nodes:
        run("docker", "exec", node, "sh", "-c", f"rm -rf {_LEDGER} && mkdir -m 777 {_LEDGER}")
    try:
        with cluster.serving(runners, CHAOS, pod_template=_with_ledger()) as server:
            yield KindTarget(cluster, server, nodes, folder)
    finally:
        for node in nodes:
            run("docker", "exec", node, "rm", "-rf", _LEDGER)
        shutil.rmtree(folder, ignore_errors=True)


def _with_ledger() -> dict[str, Any]:
    runner = {
        "name": "runner",
        "env": [{"name": "CHAOS_LEDGER", "value": "/ledger"}],
        "volumeMounts": [{"name": "ledger", "mountPath": "/ledger"}],
    }
    volume = {"name": "ledger", "hostPath": {"path": _LEDGER, "type": "Directory"}}
    return {"spec": {"containers": [runner], "volumes": [volume]}}


def _inner_pid(process: psutil.Process) -> int:
    """Its pid as it knows it itself."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])
    return 0


def _is_postmaster(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name().startswith("postgres")
    return False
