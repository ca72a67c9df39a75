"""The API server, as far as the API may use it: its own kinds, the operator's Lease, and two UIDs."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from relayrun_core.kinds import GROUP, VERSION
from relayrun_core.kinds.names import AGENTRUN_DEFINITION, LEASE
from relayrun_core.proxies import has_proxy

Object = dict[str, Any]

_REQUEST_SECONDS = 5.0
_CONNECTIONS = 32
_CONFLICT = 409
_NOT_FOUND = 404
_MERGE_PATCH = "application/merge-patch+json"


class KubeRefused(Exception):
    """The API server said no, or nothing: `status` 0. The message is its own sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kube:
    """What the API asks of the API server. Every method raises KubeRefused."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Kube"]:
        """Inside a pod with its service account, elsewhere with the kubeconfig."""
        configuration = Configuration()
        configuration.connection_pool_maxsize = _CONNECTIONS
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.client_session_kwargs = {"trust_env": has_proxy(configuration.host)}
        async with ApiClient(configuration) as api:
            yield cls(api)

    async def create_run(self, namespace: str, body: Object) -> None:
        """Make an AgentRun; one of that name that exists already is the same run's."""
        try:
            await self._ask("POST", _runs(namespace), body)
        except KubeRefused as refused:
            if refused.status != _CONFLICT:
                raise

    async def run(self, namespace: str, name: str) -> Object | None:
        """An AgentRun as etcd has it now, or None."""
        try:
            return await self._ask("GET", _runs(namespace, name))
        except KubeRefused as refused:
            if refused.status != _NOT_FOUND:
                raise
            return None

    async def delete_run(self, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an AgentRun; one that is gone already is a success. `uid`: not another one by the same name."""
        body = None if uid is None else {"preconditions": {"uid": uid}}
        try:
            await self._ask("DELETE", _runs(namespace, name), body)
        except KubeRefused as refused:
            if refused.status not in (_NOT_FOUND, _CONFLICT):
                raise

    async def patch_run(self, namespace: str, name: str, spec: Object) -> None:
        """Merge into an AgentRun's spec; one that is gone already is a success."""
        try:
            await self._ask("PATCH", _runs(namespace, name), {"spec": spec}, content_type=_MERGE_PATCH)
        except KubeRefused as refused:
            if refused.status != _NOT_FOUND:
                raise

    async def agents(self, namespace: str) -> list[Object]:
        """The namespace's Agents."""
        found: list[Object] = (await self._ask("GET", f"{_kinds(namespace)}/agents"))["items"]
        return found

    async def lease(self, namespace: str) -> Object:
        """The Lease of the operator that leads."""
        return await self._ask("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")

    async def cluster(self, namespace: str) -> str:
        """What is new when the cluster, the namespace or the kind was made anew: the UIDs of the latter two."""
        place = await self._ask("GET", f"/api/v1/namespaces/{namespace}")
        kind = await self._ask("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{AGENTRUN_DEFINITION}")
        return f"{place['metadata']['uid']}/{kind['metadata']['uid']}"

    async def _ask(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json"
    ) -> Object:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        asked = await self._api.param_serialize(method, path, header_params=headers, auth_settings=["BearerToken"])
        try:
            answer = await self._api.call_api(
                asked[0], asked[1], asked[2], body=body, _request_timeout=_REQUEST_SECONDS
            )
            text = await answer.read()  # type: ignore[no-untyped-call]
        except TimeoutError as error:
            late = f"the Kubernetes API server does not answer within {_REQUEST_SECONDS:.0f} s"
            raise KubeRefused(0, late) from error
        except (aiohttp.ClientError, OSError) as error:
            raise KubeRefused(0, f"the Kubernetes API server does not answer: {error!r}") from error
        parsed = _parse(text)
        if answer.status >= 400:
            raise KubeRefused(answer.status, str(parsed.get("message") or answer.reason))
        return dict(parsed)


def _parse(text: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _kinds(namespace: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}"


def _runs(namespace: str, name: str = "") -> str:
    return f"{_kinds(namespace)}/agentruns" + (f"/{name}" if name else "")
