"""Hundreds and thousands of AgentRuns at once, which kubectl would make one after the other."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration

from relayrun_operator.kube import names
from tests.support.cluster import Cluster, Object

_AT_ONCE = 16
_CONFLICT = 409
_LATER = (429, 503, 504)


def create_runs(cluster: Cluster, runs: Iterable[Object], status: Object | None = None) -> None:
    """Creates the AgentRuns; with `status`, as if they had got that far."""
    path = names.runs_path(cluster.namespace)
    asked = json.dumps({"status": status})

    async def create(session: aiohttp.ClientSession, run: Object) -> None:
        await _insist(session, "POST", path, json.dumps(run))
        if status is not None:
            await _insist(session, "PATCH", f"{path}/{run['metadata']['name']}/status", asked)

    asyncio.run(_for_each(cluster, create, runs))


def delete_runs(cluster: Cluster, label: str) -> None:
    """Deletes the AgentRuns with this label, in one request."""

    async def delete(session: aiohttp.ClientSession, path: str) -> None:
        await _insist(session, "DELETE", f"{path}?labelSelector={label}")

    asyncio.run(_for_each(cluster, delete, [names.runs_path(cluster.namespace)]))


async def _for_each(
    cluster: Cluster, work: Callable[[aiohttp.ClientSession, Any], Awaitable[None]], things: Iterable[Any]
) -> None:
    waiting = iter(things)
    found: Any = Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(cluster.kubeconfig), client_configuration=found
    )
    trust = ssl.create_default_context(cafile=found.ssl_ca_cert)
    if found.cert_file:
        trust.load_cert_chain(found.cert_file, found.key_file)
    token = found.api_key.get("BearerToken")
    headers = {"Authorization": token} if token else {}

    async def worker(session: aiohttp.ClientSession) -> None:
        for thing in waiting:
            await work(session, thing)

    connector = aiohttp.TCPConnector(ssl=trust)
    session = aiohttp.ClientSession(found.host, headers=headers, connector=connector)
    async with session, asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(worker(session))


async def _insist(session: aiohttp.ClientSession, method: str, path: str, body: str = "", tries: int = 5) -> None:
    """An API server under load may leave a request without an answer; what it did all the same is a conflict."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    for left in reversed(range(tries)):
        try:
            async with session.request(method, path, data=body, headers={"Content-Type": kind}) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            if not left:
                raise
            continue
        if answer.status in _LATER and left:
            continue
        assert answer.ok or (answer.status == _CONFLICT and left < tries - 1), text
        return
