"""A Kubernetes world for tests: the operator on an in-process API server, whose pods are real runner processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from relayrun_api.kube.objects import agentrun
from relayrun_core.database import Database
from relayrun_core.kinds import API_VERSION
from relayrun_core.kinds.names import api_run
from relayrun_core.runs import NewRun
from tests.operator.kubelet import Kubelet
from tests.operator.worlds import AnyPlay, write_agent
from tests.support.kubernetes import ApiServer, Object, kubeconfig_for, kubernetes
from tests.support.runner import free_port
from tests.support.waiting import until

NAMESPACE = "team"
_KINDS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}"
_CORE = f"/api/v1/namespaces/{NAMESPACE}"


@dataclass
class KubePlay(AnyPlay):
    """An operator that leads, its API server, and the kubelet of its pods."""

    server: ApiServer
    kubelet: Kubelet
    operators: Operators
    agent = f"{NAMESPACE}/default"

    def change_agent(self, **spec: Any) -> None:
        """Change the Agent, as `kubectl patch` does."""
        self.server.merge(f"{_KINDS}/agents/default", {"spec": spec})

    async def accept(self, new: NewRun) -> None:
        await super().accept(new)
        self.server.create(f"{_KINDS}/agentruns", agentrun(new, NAMESPACE))

    async def cancel(self, run_id: UUID) -> None:
        await super().cancel(run_id)
        self.server.delete(f"{_KINDS}/agentruns/{api_run(run_id)}")

    def apply(self, name: str, state: Object, annotations: Object | None = None, **spec: Any) -> None:
        """Make an AgentRun, as `kubectl apply` does."""
        metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations or {}}
        spec |= {"agentRef": {"name": "default"}, "input": state}
        body = {"apiVersion": API_VERSION, "kind": "AgentRun", "metadata": metadata, "spec": spec}
        self.server.create(f"{_KINDS}/agentruns", body)

    def change(self, name: str, **spec: Any) -> None:
        """Change an AgentRun's spec."""
        self.server.merge(f"{_KINDS}/agentruns/{name}", {"spec": spec})

    def delete(self, name: str) -> None:
        """Delete an AgentRun."""
        self.server.delete(f"{_KINDS}/agentruns/{name}")

    def status_of(self, name: str) -> Object:
        """An AgentRun's status; empty until there is one."""
        found: Object = self.server.get(f"{_KINDS}/agentruns/{name}").get("status", {})
        return found

    async def until_ended(self, name: str) -> Object:
        """The status of an AgentRun that has ended."""
        await until(lambda: "completionTime" in self.status_of(name))
        return self.status_of(name)

    @property
    def runners(self) -> list[dict[str, Any]]:
        """The pods, as the API server has them; `load` is what their Agent's status says of all."""
        pods = self.server.all("Pod")
        return [_runner(pod, self.kubelet) for pod in pods]

    @property
    def status(self) -> Object:
        """The Agent's."""
        found: Object = self.server.get(f"{_KINDS}/agents/default").get("status", {})
        return found

    @property
    def readiness(self) -> Object:
        """The Agent's first condition; without words until the operator has written one."""
        found: Object = next(iter(self.status.get("conditions", ())), {"reason": "", "message": ""})
        return found

    @property
    def load(self) -> int:
        return int(self.status.get("activeThreads", 0))

    @property
    def waiting(self) -> int:
        return int(self.status.get("queuedRuns", 0))

    @property
    def unfinished(self) -> int:
        return sum("completionTime" not in run.get("status", {}) for run in self.server.all("AgentRun"))

    async def stop(self) -> None:
        for name in self.operators.processes:
            await self.operators.kill(name)


@dataclass
class Operators:
    """Operator processes of one API server, each under a name of its own."""

    folder: Path
    url: str
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    async def metrics(self, name: str) -> str:
        """What a replica counts."""
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://127.0.0.1:{self.ports[name]}/metrics")).text

    async def start(self, name: str) -> asyncio.Task[None]:
        """A replica; its end, as a task."""
        port = self.ports[name] = free_port()
        settings = {"NAMESPACE": NAMESPACE, "POD_NAME": name, "HOST": "127.0.0.1", "PORT": str(port)}
        environment = {f"RELAYRUN_{key}": value for key, value in settings.items()}
        kubeconfig = kubeconfig_for(self.folder, self.url, name)
        process = self.processes[name] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "relayrun_operator"),
            env={**os.environ, **environment, "KUBECONFIG": str(kubeconfig)},
        )
        return asyncio.create_task(_end_of(process))

    async def kill(self, name: str) -> None:
        process = self.processes[name]
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _end_of(process: asyncio.subprocess.Process) -> None:
    await process.wait()


def _runner(pod: Object, kubelet: Kubelet) -> dict[str, Any]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", ())}
    pid = kubelet.pid_of(name) if name in kubelet.processes else None
    draining = "deletionTimestamp" in pod["metadata"]
    return {"name": name, "pid": pid, "ready": conditions.get("Ready") == "True", "draining": draining}


def leader_of(server: ApiServer) -> str:
    """The identity of the operator that holds the Lease."""
    leases = [lease for lease in server.objects.values() if lease["kind"] in ("Lease", "leases")]
    return str(leases[0]["spec"].get("holderIdentity", "")) if leases else ""


@asynccontextmanager
async def kube_world(
    folder: Path, database_url: str, *, runners: int = 2, slots: int = 4, more: Object | None = None
) -> AsyncIterator[KubePlay]:
    """A world that runs until the block ends, with ready runners. `more` of the Agent's spec."""
    config = write_agent(folder / "agent")
    async with (
        kubernetes() as (server, url),
        Database.open(database_url, role="world", max_size=4) as database,
        asyncio.TaskGroup() as tasks,
    ):
        secret = {"metadata": {"name": "postgres", "namespace": NAMESPACE}, "stringData": {"url": database_url}}
        server.create(f"{_CORE}/secrets", {"kind": "Secret", **secret})
        spec = {
            "image": "the tests'",
            "configPath": str(config),
            "runsPerRunner": slots,
            "runners": {"min": runners, "max": runners, "spare": 0},
            "databaseSecretRef": {"name": "postgres", "key": "url"},
            **(more or {}),
        }
        agent = {"apiVersion": API_VERSION, "kind": "Agent", "spec": spec}
        server.create(f"{_KINDS}/agents", {**agent, "metadata": {"name": "default", "namespace": NAMESPACE}})
        kubelet = Kubelet(server, tasks, config.parent)
        kubelet.start()
        operators = Operators(folder, url)
        play = KubePlay(config.parent, database, await operators.start("first"), server, kubelet, operators)
        try:
            await play.until_ready(runners)
            yield play
        finally:
            await play.stop()
            await kubelet.stop()
