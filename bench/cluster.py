"""A kind cluster on this machine as a server to measure: its processes are seen, and killed, from outside.

Installs an Agent of the bench's graphs and a NodePort beside a release of the chart, and removes both afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from bench.processes import ServerStartError
from bench.servers import GRAPHS, REPOSITORY, Server

AGENT = "relayrun-bench"
SERVICE = "relayrun-bench-api"
READY_SECONDS = 180.0
#: What a runner's container begins with.
FIRST_PROCESS = "relayrun_runner.pod"

Object = dict[str, Any]


class KindCluster:
    """A release in a namespace of a kind cluster."""

    def __init__(self, name: str, namespace: str) -> None:
        self._name = name
        self._namespace = namespace

    @contextlib.contextmanager
    def serving(self, runners: int, graphs: Path = GRAPHS, pod_template: Object | None = None) -> Iterator[Server]:
        """The release, with so many runners of a folder's graphs. ServerStartError says what is missing."""
        image = self._image(graphs)
        try:
            self._apply(_agent(image, runners, pod_template or {}), _service())
            self.pool_is_ready(runners)
            port = self._get("service", SERVICE)["spec"]["ports"][0]["nodePort"]
            addresses = self._get("node", f"{self._name}-control-plane")["status"]["addresses"]
            host = next(one["address"] for one in addresses if one["type"] == "InternalIP")
            yield Server("relayrun on kind", f"http://{host}:{port}", "this checkout", also=self.roots(), cluster=self)
        finally:
            self._kubectl("delete", f"agent/{AGENT}", f"service/{SERVICE}", "--ignore-not-found", "--wait=false")

    def pool_is_ready(self, runners: int) -> None:
        """Wait until so many runners are ready that were never restarted."""
        until = time.monotonic() + READY_SECONDS
        while sum(map(_fresh_and_ready, self._pods())) < runners:
            if time.monotonic() > until:
                conditions = self._get("agent", AGENT).get("status", {}).get("conditions", [])
                told = "".join(f": {one['message']}" for one in conditions if one["type"] == "Ready")
                raise ServerStartError(f"no {runners} runners of {AGENT} are ready within {READY_SECONDS:.0f} s{told}")
            time.sleep(0.2)

    def replace(self, pod: str, *, force: bool = True) -> None:
        """Remove a pod whose process was killed: the kubelet would make every further restart wait longer."""
        how = ("--force", "--grace-period=0") if force else ("--grace-period=1",)
        self._kubectl("delete", "pod", pod, "--ignore-not-found", "--wait=false", *how)

    def nodes(self) -> list[str]:
        """The names of its nodes, which are those of their containers; the control plane is the first."""
        return sorted(run("kind", "get", "nodes", "--name", self._name).split())

    def root(self, node: str) -> int:
        """The pid of a node's first process; 0 while the node does not run."""
        return int(run("docker", "inspect", "-f", "{{.State.Pid}}", node))

    def roots(self) -> tuple[int, ...]:
        """Those of all nodes."""
        return tuple(pid for node in self.nodes() if (pid := self.root(node)))

    def _image(self, graphs: Path) -> str:
        image = "relayrun-bench:local"
        line = ["build", "-c", str(graphs / "langgraph.json"), "-t", image, "--base-image", "relayrun-runner:dev"]
        run(str(REPOSITORY / ".venv" / "bin" / "relayrun"), *line)
        run("kind", "load", "docker-image", "--name", self._name, image)
        return image

    def _pods(self) -> list[Object]:
        found = self._kubectl("get", "pods", "-l", f"relayrun.dev/agent={AGENT}", "-o", "json")
        pods: list[Object] = json.loads(found)["items"]
        return pods

    def _get(self, kind: str, name: str) -> Object:
        found: Object = json.loads(self._kubectl("get", kind, name, "-o", "json"))
        return found

    def _apply(self, *objects: Object) -> None:
        self._kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run("kubectl", "--context", f"kind-{self._name}", "-n", self._namespace, *arguments, stdin=stdin)


def process_in_pod(found: list[psutil.Process], pod: str) -> int:
    """This machine's pid of the runner in a pod, which its first process has forked."""
    for process in found:
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if "relayrun_runner" in command and FIRST_PROCESS not in command and pod_of(process) == pod:
                return process.pid
    raise ServerStartError(f"pod {pod} has no runner process on this machine")


def pod_of(process: psutil.Process) -> str:
    """The name of a process's pod. A forked one's environment may not be told whole."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/root/etc/hostname").read_text().strip()
    return ""


def _fresh_and_ready(pod: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    restarts = sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))
    return conditions.get("Ready") == "True" and not restarts and "deletionTimestamp" not in pod["metadata"]


def _agent(image: str, runners: int, pod_template: Object) -> Object:
    return {
        "apiVersion": "relayrun.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": AGENT},
        "spec": {"image": image, "runners": {"min": runners, "max": runners + 2}, "podTemplate": pod_template},
    }


def _service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE},
        "spec": {
            "type": "NodePort",
            "selector": {"app.kubernetes.io/name": "relayrun", "app.kubernetes.io/component": "api"},
            "ports": [{"port": 80, "targetPort": "http"}],
        },
    }


def run(*line: str, stdin: str | None = None) -> str:
    """What a command prints. ServerStartError when it fails."""
    ended = subprocess.run(line, input=stdin, capture_output=True, text=True, check=False, env=dict(os.environ))
    if ended.returncode:
        raise ServerStartError(f"{' '.join(line)[:120]}: {(ended.stderr or ended.stdout).strip()}")
    return ended.stdout
