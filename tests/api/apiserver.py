"""A stand-in for the Kubernetes API server: AgentRuns that are kept, Agents, a Lease, UIDs, and refusals on demand."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from relayrun_core.kinds import AgentRun
from tests.support.serving import serving

NAMESPACE = "agents"
_RUNS = f"/apis/relayrun.dev/v1alpha1/namespaces/{NAMESPACE}/agentruns"


def _agent(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"runDefaults": {"activeDeadlineSeconds": 77, "backoffLimit": 5, "durability": "Async"}},
        "status": {"replicas": 2, "readyReplicas": 1, "conditions": [{"type": "Ready", "status": "True"}]},
    }


@dataclass
class ApiServer:
    """What there is. `refusal`: the status and the sentence with which creations are refused."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    agents: list[dict[str, Any]] = field(default_factory=lambda: [_agent("default")])
    refusal: tuple[int, str] | None = None
    away: bool = False
    namespace_uid: str = "namespace-1"
    definition_uid: str = "definition-1"
    lease: dict[str, Any] | None = None
    created: list[str] = field(default_factory=list)

    def rebuild(self) -> None:
        """The cluster is lost, and made anew without its objects."""
        self.runs.clear()
        self.namespace_uid = "namespace-2"

    async def create(self, request: Request) -> JSONResponse:
        if self.refusal is not None:
            return _status(*self.refusal)
        body = await request.json()
        AgentRun.model_validate(body)  # as the CRD's schema does
        name = body["metadata"]["name"]
        if name in self.runs:
            return _status(409, f'agentruns "{name}" already exists')
        body["metadata"]["uid"] = str(uuid.uuid4())
        self.runs[name] = body
        self.created.append(name)
        return JSONResponse(body, 201)

    async def one(self, request: Request) -> JSONResponse:
        if self.away:
            return _status(500, "etcd does not answer")
        name = request.path_params["name"]
        if (found := self.runs.get(name)) is None:
            return _status(404, f'agentruns "{name}" not found')
        if request.method == "DELETE":
            del self.runs[name]
        if request.method == "PATCH":
            found["spec"] |= (await request.json())["spec"]
        return JSONResponse(found)

    async def list_agents(self, _: Request) -> JSONResponse:
        return JSONResponse({"items": self.agents})

    async def namespace(self, _: Request) -> JSONResponse:
        return JSONResponse({"metadata": {"uid": self.namespace_uid}})

    async def definition(self, _: Request) -> JSONResponse:
        return JSONResponse({"metadata": {"uid": self.definition_uid}})

    async def read_lease(self, _: Request) -> JSONResponse:
        return JSONResponse(self.lease) if self.lease else _status(404, "no such lease")


def _status(code: int, message: str) -> JSONResponse:
    return JSONResponse({"kind": "Status", "code": code, "message": message}, code)


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[ApiServer, Path]]:
    """A server on a port of its own, and a kubeconfig for it."""
    there = ApiServer()
    routes = [
        Route(_RUNS, there.create, methods=["POST"]),
        Route(_RUNS + "/{name}", there.one, methods=["GET", "DELETE", "PATCH"]),
        Route(f"/apis/relayrun.dev/v1alpha1/namespaces/{NAMESPACE}/agents", there.list_agents),
        Route(f"/api/v1/namespaces/{NAMESPACE}", there.namespace),
        Route("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agentruns.relayrun.dev", there.definition),
        Route(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/relayrun-operator", there.read_lease),
    ]
    async with serving(Starlette(routes=routes)) as port:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(orjson.dumps(_kubeconfig(f"http://127.0.0.1:{port}")))
        yield there, kubeconfig


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "me"}}],
        "clusters": [{"name": "there", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"token": "x"}}],
    }
