"""The cluster of an API: the in-process API server, with an Agent and what the API reads beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from relayrun_core.kinds import API_VERSION
from tests.support.kubernetes import ApiServer, Object, Refused, kubeconfig_for, kubernetes

NAMESPACE = "agents"
_KINDS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}"
_NAMESPACE = f"/api/v1/namespaces/{NAMESPACE}"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
_DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agentruns.relayrun.dev"


@dataclass
class Cluster:
    """What the tests see of the API server, and do to it."""

    server: ApiServer

    @property
    def runs(self) -> dict[str, Object]:
        """The AgentRuns by name; changes of one are changes of the object."""
        return {found["metadata"]["name"]: found for found in self.server.all("AgentRun")}

    @property
    def created(self) -> list[str]:
        """The names of all AgentRuns that were ever made."""
        return [body["metadata"]["name"] for _, kind, body in self.server.changes if _is_new_run(kind, body)]

    def add_agent(self, name: str) -> None:
        """An Agent with two runners, of which one is ready."""
        spec = {"runDefaults": {"activeDeadlineSeconds": 77, "backoffLimit": 5, "durability": "Async"}}
        status = {"replicas": 2, "readyReplicas": 1, "conditions": [{"type": "Ready", "status": "True"}]}
        metadata = {"name": name, "namespace": NAMESPACE}
        self.server.create(f"{_KINDS}/agents", {"kind": "Agent", "metadata": metadata, "spec": spec, "status": status})

    @property
    def agents(self) -> list[Object]:
        """The Agents; changes of one are changes of the object."""
        return self.server.all("Agent")

    def set_agents(self, *agents: Object) -> None:
        """These Agents and no others, as old as they say."""
        for gone in self.agents:
            self.server.remove(f"{_KINDS}/agents/{gone['metadata']['name']}")
        for body in agents:
            self.server.objects[f"{_KINDS}/agents/{body['metadata']['name']}"] = body

    def delete_agent(self, name: str) -> None:
        self.server.remove(f"{_KINDS}/agents/{name}")

    def set_lease(self, **spec: str) -> None:
        """The operators' Lease."""
        self.server.create(_LEASES, {"kind": "Lease", "metadata": {"name": "relayrun-operator"}, "spec": spec})

    def refuse(self, status: int, message: str) -> None:
        """No AgentRun can be made until `accept`."""
        self.server.refusals["POST", f"{_KINDS}/agentruns"] = Refused(status, "Forbidden", message)

    def accept(self) -> None:
        self.server.refusals.clear()

    def refuse_deletion(self, name: str) -> None:
        """The AgentRun cannot be deleted: etcd does not answer."""
        refused = Refused(500, "InternalError", "etcd does not answer")
        self.server.refusals["DELETE", f"{_KINDS}/agentruns/{name}"] = refused

    def add_run(self, name: str) -> str:
        """A person's own AgentRun; its UID."""
        metadata, spec = {"name": name, "namespace": NAMESPACE}, {"agentRef": {"name": "default"}, "input": {}}
        run = {"apiVersion": API_VERSION, "kind": "AgentRun", "metadata": metadata, "spec": spec}
        return str(self.server.create(f"{_KINDS}/agentruns", run)["metadata"]["uid"])

    def delete_runs(self) -> None:
        for name in self.runs:
            self.server.remove(f"{_KINDS}/agentruns/{name}")

    def rebuild(self) -> None:
        """The cluster is lost, and made anew without its AgentRuns."""
        self.delete_runs()
        self.server.objects[_NAMESPACE]["metadata"]["uid"] = "namespace-2"


def _is_new_run(kind: str, body: Object) -> bool:
    return kind == "ADDED" and body["kind"] == "AgentRun"


@asynccontextmanager
async def api_cluster(folder: Path) -> AsyncIterator[tuple[Cluster, Path]]:
    """A cluster, and a kubeconfig for it."""
    async with kubernetes() as (server, url):
        cluster = Cluster(server)
        cluster.add_agent("default")
        server.objects[_NAMESPACE] = {"kind": "Namespace", "metadata": {"uid": "namespace-1"}}
        server.objects[_DEFINITION] = {"kind": "CustomResourceDefinition", "metadata": {"uid": "definition-1"}}
        yield cluster, kubeconfig_for(folder, url, "api")
