"""A release in a kind cluster on this machine as the target: processes, pods and nodes are killed from outside."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
import threading
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
#: Processes, then whole pods, then workers as a whole.
VICTIMS = ("runner", "api", "operator", "postgres", "parent", "pod", "api-pod", "operator-pod", "postgres-pod", "node")
#: For so long a killed node stays away.
NODE_AWAY_SECONDS = 20.0
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
        self._away: threading.Timer | None = None

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
                found["postgres-pod"] = [process]
            else:
                for module, part in _MODULES.items():
                    if module in command:
                        found[part].append(process)
                        found[f"{part}-pod"].append(process)
        if self._away is None or not self._away.is_alive():
            found["node"] = [psutil.Process(pid) for node in self._nodes[1:] if (pid := self._cluster.root(node))]
        return found

    def kill(self, victim: str, process: psutil.Process) -> Kill:
        """See Target."""
        at, host = time.time(), pod_of(process)
        if victim == "node":
            return self._kill_node(at, process)
        if victim.endswith("pod"):
            # The next Postgres must not start before this one has ended.
            self._cluster.replace(host, force=victim != "postgres-pod")
        else:
            process.kill()
        # With its first process ends all of a container.
        return Kill(at, victim, _inner_pid(process) if victim == "runner" else 0, frozenset({host}))

    def _kill_node(self, at: float, process: psutil.Process) -> Kill:
        node = next(node for node in self._nodes if self._cluster.root(node) == process.pid)
        inside = [process, *process.children(recursive=True)]
        hosts = frozenset(pod_of(one) for one in inside if "relayrun_runner" in command_of(one))
        run("docker", "kill", node)
        self._away = threading.Timer(NODE_AWAY_SECONDS, self._bring_back, [node])
        self._away.start()
        return Kill(at, "node", 0, hosts)

    def _bring_back(self, node: str) -> None:
        run("docker", "start", node)
        self.server = dataclasses.replace(self.server, also=self._cluster.roots())

    def whole(self) -> None:
        """Return once no node is away."""
        if self._away is not None:
            self._away.join()

    def fetch_ledger(self) -> Path:
        """A copy of the ledger."""
        self.whole()
        for node in self._nodes:
            run("docker", "cp", f"{node}:{_LEDGER}/.", str(self._folder))
        return self._folder


@contextlib.contextmanager
def kind_target(name: str, namespace: str, runners: int) -> Iterator[KindTarget]:
    """An Agent of the chaos's graphs beside a release; removed afterwards."""
    cluster = KindCluster(name, namespace)
    nodes = cluster.nodes()
    folder = Path(tempfile.mkdtemp(prefix="relayrun-chaos-"))
    for node in nodes:
        run("docker", "exec", node, "sh", "-c", f"rm -rf {_LEDGER} && mkdir -m 777 {_LEDGER}")
    try:
        with cluster.serving(runners, CHAOS, pod_template=_with_ledger()) as server:
            target = KindTarget(cluster, server, nodes, folder)
            try:
                yield target
            finally:
                target.whole()
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
