"""The watch of AgentRuns: whatever becomes of its connection, each change is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from relayrun_core.kinds import API_VERSION
from relayrun_core.proxies import has_proxy
from relayrun_operator.kube.client import KubeClient, Object
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.observer import Observer
from relayrun_operator.kube.runwatch import RunWatch
from tests.support.kubernetes import Refused, kubeconfig_for, kubernetes
from tests.support.waiting import until

PATH = f"/apis/{API_VERSION}/namespaces/team/agentruns"


def agentrun(name: str, said: str = "") -> Object:
    metadata = {"name": name, "namespace": "team"}
    spec = {"agentRef": {"name": "default"}, "thread": name, "input": {"said": said}}
    return {"apiVersion": API_VERSION, "kind": "AgentRun", "metadata": metadata, "spec": spec}


class Seen:
    """An observer that notes what it is told; it cannot take in what is called `poison`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def see_run(self, body: Object) -> None:
        if body["metadata"]["name"] == "poison":
            raise ValueError("not understood")
        self.told.append(("seen", body["metadata"]["name"]))

    def lose_run_of(self, body: Object) -> None:
        self.told.append(("lost", body["metadata"]["name"]))


class Refusals(dict[tuple[str, str], Refused]):
    """Says when one was given."""

    def __init__(self, refusals: dict[tuple[str, str], Refused]) -> None:
        super().__init__(refusals)
        self.given = asyncio.Event()

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        if found is not None:
            self.given.set()
        return found


@asynccontextmanager
async def watching(client: Any, observer: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(RunWatch(client, "team", cast("Observer", observer)).run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_changes_are_told_through_ends_and_refusals_of_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_operator.kube.client._WATCH_SECONDS", 0.2)
    monkeypatch.setattr("relayrun_operator.kube.runwatch._BACK_OFF_SECONDS", (0.01,))
    seen = Seen()

    async def until_told(what: str, name: str) -> None:
        await until(lambda: (what, name) in seen.told)

    async with kubernetes() as (server, url):
        kubeconfig = str(kubeconfig_for(tmp_path, url, "one"))
        monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", kubeconfig)
        server.create(PATH, agentrun("first"))
        async with KubeClient.open() as client, watching(client, seen):
            await until_told("seen", "first")
            server.create(PATH, agentrun("poison"))
            server.create(PATH, agentrun("second", "x" * 300_000))
            await until_told("seen", "second")
            for status, reason in ((500, "InternalError"), (410, "Expired"), (403, "Forbidden")):
                refusals = server.refusals = Refusals({("GET", PATH): Refused(status, reason)})
                server.create(PATH, agentrun(reason.lower()))
                await refusals.given.wait()
                server.refusals = {}
                await until_told("seen", reason.lower())
            server.delete(f"{PATH}/second")
            await until_told("lost", "second")


class Scripted:
    """A client that has a list with the version 5, and then these streams of events."""

    def __init__(self, *streams: list[Object] | KubeError) -> None:
        self.asked: list[str] = []
        self._streams = list(streams)

    async def list_with_version(self, _path: str) -> tuple[list[Object], str]:
        self.asked.append("list")
        return [], "5"

    @asynccontextmanager
    async def watch(self, _path: str, version: str) -> AsyncIterator[AsyncIterator[Object]]:
        self.asked.append(version)
        if not self._streams:
            await asyncio.Event().wait()
        stream = self._streams.pop(0)
        if isinstance(stream, KubeError):
            raise stream

        async def events() -> AsyncIterator[Object]:
            for event in stream:
                yield event

        yield events()


def event(kind: str, version: int) -> Object:
    return {"type": kind, "object": {"metadata": {"name": f"run-{version}", "resourceVersion": str(version)}}}


EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
BROKEN = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd is away"}}
AWAY = KubeError(0, "Unreachable", "the API server does not answer")


@pytest.mark.parametrize(
    ("streams", "asked"),
    [
        ([[event("ADDED", 6), event("BOOKMARK", 9)]], ["list", "5", "9"]),
        ([[event("ADDED", 6), EXPIRED]], ["list", "5", "list", "5"]),
        ([[event("MODIFIED", 6), BROKEN]], ["list", "5", "6"]),
        ([[event("ADDED", 6)], AWAY, [event("DELETED", 7)]], ["list", "5", "6", "6", "7"]),
        # A cluster that was restored does not know such a version, in whatever words it says so.
        ([AWAY, AWAY, AWAY, AWAY], ["list", "5", "5", "5", "5", "list", "5"]),
        ([[{"unknown": True}]], ["list", "5", "5"]),
    ],
)
async def test_it_goes_on_from_its_last_version_and_lists_again_where_that_is_too_old(
    streams: list[Any], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayrun_operator.kube.runwatch._BACK_OFF_SECONDS", (0.0,))
    client = Scripted(*streams)
    async with watching(client, Seen()):
        await until(lambda: len(client.asked) == len(asked))
    assert client.asked == asked


@pytest.mark.parametrize(
    ("environment", "through"),
    [
        ({}, False),
        ({"https_proxy": "http://proxy:3128"}, True),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "10.0.0.1,.svc"}, False),
        ({"http_proxy": "http://proxy:3128"}, False),
    ],
)
def test_the_environment_says_whether_there_is_a_proxy(
    environment: dict[str, str], through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert has_proxy("https://10.0.0.1:443") is through
