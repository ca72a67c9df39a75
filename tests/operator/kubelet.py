"""A kubelet for tests: each pod of the API server becomes a real runner process on a loopback address of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from relayrun_core.kinds.names import RUNNER_PORT
from tests.support.forked import RUNNER, ForkedProcess
from tests.support.kubernetes import ApiServer, Object

_PROBE_SECONDS = 0.1
_LOOKS_SECONDS = 0.02


@dataclass
class Kubelet:
    """Runs pods, and starts a container that has ended anew, at once. `lose` freezes all that it runs."""

    server: ApiServer
    tasks: asyncio.TaskGroup
    #: Where the agent's code is.
    folder: Path
    processes: dict[str, ForkedProcess] = field(default_factory=dict)
    #: Pods on a node that nobody hears any more.
    lost: set[str] = field(default_factory=set)
    #: Pods whose container, once it has ended, waits in back-off.
    in_back_off: set[str] = field(default_factory=set)
    #: What is mounted in a folder: the Secret's path, and its part of the volume.
    _mounted: dict[Path, tuple[str, Object]] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    #: Its other end closes with this process, which ends the runners.
    _parent: tuple[int, int] = field(default_factory=os.pipe)

    def start(self) -> None:
        self.server.watchers.append(self._on_change)

    def pid_of(self, pod: str) -> int:
        return self.processes[pod].pid

    def lose_all(self) -> None:
        """The node is lost: its processes say nothing more, and the API server is told nothing of them."""
        for name, process in self.processes.items():
            self.lost.add(name)
            process.send_signal(signal.SIGSTOP)

    async def stop(self) -> None:
        self.server.watchers.remove(self._on_change)
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        for end in self._parent:
            os.close(end)

    def _on_change(self, kind: str, body: Object) -> None:
        if body["kind"] != "Pod":
            return
        name = body["metadata"]["name"]
        if kind == "ADDED":
            self._running[name] = self.tasks.create_task(self._run(body), name=f"kubelet: {name}")
        elif "deletionTimestamp" in body["metadata"] and name not in self.lost:
            process = self.processes.get(name)
            if process is not None:
                process.terminate()

    async def _run(self, pod: Object) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        ip = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.server.merge(path, {"spec": {"nodeName": "a-node"}})
        restarts = 0
        while "deletionTimestamp" not in self.server.get(path)["metadata"]:
            await self._run_container(path, ip, restarts)
            restarts += 1
            while pod["metadata"]["name"] in self.in_back_off and path in self.server.objects:
                if "deletionTimestamp" in self.server.get(path)["metadata"]:
                    break
                await asyncio.sleep(_PROBE_SECONDS)
        self.server.remove(path)

    async def _run_container(self, path: str, ip: str, restarts: int) -> None:
        pod = self.server.get(path)
        name = pod["metadata"]["name"]
        [container] = pod["spec"]["containers"]
        environment = self._environment(pod, container, ip)
        process = await ForkedProcess.start(RUNNER, environment, None, self._parent[0], self.folder)
        self.processes[name] = process
        self._tell(path, ip, restarts, ready=False)
        probing = asyncio.create_task(self._probe(path, ip, restarts))
        try:
            while (code := process.exit_code) is None:
                await asyncio.sleep(_LOOKS_SECONDS)
        finally:
            probing.cancel()
            process.kill()
            with contextlib.suppress(asyncio.CancelledError):
                await probing
        self._tell(path, ip, restarts + 1, ready=False, code=code)

    async def _probe(self, path: str, ip: str, restarts: int) -> None:
        """As a readiness probe that succeeds once; a lost node's last word stays."""
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"http://{ip}:{RUNNER_PORT}/readyz") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(_PROBE_SECONDS)
        self._tell(path, ip, restarts, ready=True)

    def _tell(self, path: str, ip: str, restarts: int, *, ready: bool, code: int | None = None) -> None:
        if path not in self.server.objects:
            return
        last = {} if code is None else {"terminated": {"exitCode": 128 - code if code < 0 else code}}
        waits = code is not None and path.rpartition("/")[2] in self.in_back_off
        state: Object = {"waiting": {"reason": "CrashLoopBackOff"}} if waits else {"running": {}}
        container = {"name": "runner", "ready": ready, "restartCount": restarts, "lastState": last, "state": state}
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        status = {"phase": "Running", "podIP": ip, "conditions": conditions, "containerStatuses": [container]}
        self.server.merge(f"{path}/status", {"status": status})

    def _environment(self, pod: Object, container: Object, ip: str) -> dict[str, str]:
        told = {entry["name"]: self._value(pod, entry) for entry in container["env"]}
        for place, folder in self._mount(pod).items():
            told = {name: value.replace(place, str(folder)) for name, value in told.items()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAYRUN_")}
        own = {
            "RELAYRUN_HOST": ip,
            "RELAYRUN_LOG_LEVEL": "warning",
            "LANGSMITH_TRACING": "false",
        }
        return {**inherited, **told, **own}

    def _mount(self, pod: Object) -> dict[str, Path]:
        """The folders of its Secrets, by where the container has them; written again when a Secret changes."""
        [container] = pod["spec"]["containers"]
        places = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", ())}
        name, namespace, folders = pod["metadata"]["name"], pod["metadata"]["namespace"], {}
        for volume in pod["spec"].get("volumes", ()):
            if (source := volume.get("secret")) is not None:
                folder = folders[places[volume["name"]]] = self.folder.parent / "mounted" / name / volume["name"]
                self._mounted[folder] = (f"/api/v1/namespaces/{namespace}/secrets/{source['secretName']}", source)
        self.sync(name)
        return folders

    def sync(self, name: str) -> None:
        """Write the Secrets of a pod as they are now: the kubelet does so about once a minute."""
        for folder, (path, source) in self._mounted.items():
            if folder.parent.name == name:
                data = self.server.get(path)["data"]
                folder.mkdir(parents=True, exist_ok=True)
                for item in source["items"]:
                    file = folder / item["path"]
                    if item["key"] in data:
                        new = file.with_suffix(".new")
                        new.write_bytes(base64.b64decode(data[item["key"]]))
                        new.replace(file)
                    else:
                        file.unlink(missing_ok=True)

    def _value(self, pod: Object, entry: dict[str, Any]) -> str:
        source = entry.get("valueFrom")
        if source is None:
            return str(entry["value"])
        if "fieldRef" in source:
            return str(pod["metadata"]["name"])
        secret = source["secretKeyRef"]
        found = self.server.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{secret['name']}")
        return base64.b64decode(found["data"][secret["key"]]).decode()
