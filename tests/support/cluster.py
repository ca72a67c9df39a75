"""A Kubernetes cluster as the cluster tests see it: kubectl, Relayrun's kinds, and nodes that are kind's containers."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.objects import Objects

Object = dict[str, Any]

API_VERSION = "relayrun.dev/v1alpha1"
NAMESPACE = "relayrun"
ROOT = Path(__file__).resolve().parents[2]


class CommandError(Exception):
    """A command that failed; the message is what it said."""


def command(*line: str, stdin: str | None = None, seconds: float = 120, cwd: Path | None = None) -> str:
    """What the command says on standard output; CommandError with all it said when it fails."""
    ended = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=seconds, check=False, cwd=cwd)
    if ended.returncode:
        raise CommandError(f"{' '.join(line)[:200]}: {ended.stderr.strip()}{ended.stdout.strip()}")
    return ended.stdout


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60, *, every: float = 0.2) -> Any:
    """The first true answer of `condition`; AssertionError naming `what` when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer: Any = None
        try:
            answer = condition()
        except CommandError as error:
            answer, what = None, f"{what} ({error})" if "(" not in what else what
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(every)


@dataclass
class Cluster:
    """One cluster with one namespace in use."""

    name: str
    kubeconfig: Path
    api_url: str = ""
    agent_image: str = ""
    namespace: str = NAMESPACE
    made: list[str] = field(default_factory=list)

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        return command(
            *("kubectl", "--kubeconfig", str(self.kubeconfig), "-n", self.namespace, *arguments),
            stdin=stdin,
            seconds=seconds,
        )

    def helm(self, *arguments: str, seconds: float = 420) -> str:
        return command("helm", "--kubeconfig", str(self.kubeconfig), *arguments, seconds=seconds)

    def as_documented(self, page: str, begins: str) -> str:
        """Execute, as it stands, the command of a page in docs/ that begins so; what it says."""
        [line] = [line for line in (ROOT / "docs" / page).read_text().splitlines() if line.startswith(begins)]
        return command(*("env", f"KUBECONFIG={self.kubeconfig}", "bash", "-euc", line), seconds=420, cwd=ROOT)

    @cached_property
    def objects(self) -> Objects:
        """Reads without kubectl."""
        return Objects(self.kubeconfig)

    def get(self, kind: str, name: str) -> Object:
        found = self.find(kind, name)
        if found is None:
            raise CommandError(f"there is no {kind} {name}")
        return found

    def find(self, kind: str, name: str) -> Object | None:
        if Objects.knows(kind):
            return self.objects.find(self.namespace, kind, name)
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def all(self, kind: str, *arguments: str) -> list[Object]:
        selectors = dict(zip(arguments[::2], arguments[1::2], strict=True)) if len(arguments) % 2 == 0 else {}
        if (
            Objects.knows(kind)
            and set(selectors) <= {"-l", "--field-selector"}
            and len(selectors) * 2 == len(arguments)
        ):
            return self.objects.all(
                self.namespace, kind, labels=selectors.get("-l", ""), fields=selectors.get("--field-selector", "")
            )
        items: list[Object] = json.loads(self.kubectl("get", kind, "-o", "json", *arguments))["items"]
        return items

    def create(self, *objects: Object) -> None:
        self.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def apply(self, *objects: Object) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    # --- runs

    def run(self, graph: str, agent: str = "all", **spec: Any) -> str:
        """Creates an AgentRun and returns its name."""
        made = agent_run(graph, agent, **spec)
        self.create(made)
        name: str = made["metadata"]["name"]
        return name

    def finished(self, name: str, seconds: float = 60) -> Object:
        """The AgentRun once it is Finished."""
        try:
            found: Object = wait_until(
                lambda: condition(run := self.get("ar", name), "Finished").get("status") == "True" and run,
                f"AgentRun {name} is Finished",
                seconds,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.get('ar', name).get('status'), indent=1)}") from error
        return found

    def runs(self, graph: str, count: int, agent: str = "all", **spec: Any) -> list[str]:
        """Creates that many alike, in one call."""
        made = [agent_run(graph, agent, **spec) for _ in range(count)]
        self.create(*made)
        return [run["metadata"]["name"] for run in made]

    def all_finished(self, names: list[str], seconds: float = 60) -> list[Object]:
        """The AgentRuns, in the order of the names, once all of them are Finished."""

        def found() -> list[Object] | None:
            runs = {run["metadata"]["name"]: run for run in self.all("ar")}
            ended = [runs[name] for name in names if condition(runs[name], "Finished").get("status") == "True"]
            return ended if len(ended) == len(names) else None

        ended: list[Object] = wait_until(found, f"{len(names)} AgentRuns are Finished", seconds, every=0.5)
        return ended

    def status(self, name: str) -> Object:
        """The AgentRun's status; empty before its first."""
        status: Object = self.get("ar", name).get("status", {})
        return status

    def running(self, name: str, seconds: float = 60) -> Object:
        """The AgentRun once a runner executes it."""
        found: Object = wait_until(
            lambda: (run := self.get("ar", name)).get("status", {}).get("phase") == "Running" and run,
            f"AgentRun {name} runs",
            seconds,
        )
        return found

    # --- pods and nodes

    def agent(self, name: str, image: str | None = None, *, ready: bool = True, **spec: Any) -> Object:
        """Applies an Agent of the tests' image, and waits until it is ready."""
        metadata = {"name": name, "namespace": self.namespace}
        self.apply(
            {
                "apiVersion": API_VERSION,
                "kind": "Agent",
                "metadata": metadata,
                "spec": {"image": image or self.agent_image, **spec},
            }
        )
        if ready:
            self.agent_ready(name)
        return self.get("agent", name)

    def agent_ready(self, name: str, seconds: float = 120) -> None:
        try:
            self.kubectl(
                "wait", "--for=condition=Ready", f"agent/{name}", f"--timeout={seconds}s", seconds=seconds + 10
            )
        except CommandError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.get('agent', name).get('status'), indent=1)}") from error

    @contextmanager
    def an_agent(self, image: str | None = None, *, ready: bool = True, **spec: Any) -> Iterator[str]:
        """An Agent for one test; its pods are gone afterwards."""
        name = f"own-{uuid.uuid4().hex[:6]}"
        self.agent(name, image, ready=ready, **spec)
        try:
            yield name
        finally:
            self.kubectl("delete", "ar", "--field-selector", f"spec.agentRef.name={name}", "--wait=false")
            self.kubectl("delete", "agent", name, "--wait=false")
            self.kubectl("delete", "pods", "-l", f"relayrun.dev/agent={name}", "--force", "--grace-period=0")

    def runners(self, agent: str) -> list[Object]:
        return self.all("pods", "-l", f"relayrun.dev/agent={agent}")

    def pods(self, part: str) -> list[Object]:
        """The pods of a part of the chart that are not on their way out."""
        found = self.all("pods", "-l", f"app.kubernetes.io/component={part},app.kubernetes.io/instance=relayrun")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def parts_ready(self, *parts: str, seconds: float = 120) -> None:
        for part in parts or ("operator", "api"):
            self.kubectl(
                "rollout", "status", f"deployment/relayrun-{part}", f"--timeout={seconds}s", seconds=seconds + 10
            )

    def leader(self) -> str:
        """The pod of the operator that leads."""
        holder: str = self.get("lease", "relayrun-operator")["spec"]["holderIdentity"]
        pods = [pod["metadata"]["name"] for pod in self.pods("operator")]
        return next((pod for pod in pods if pod in holder), "")

    def led(self, *, other_than: str = "", seconds: float = 60) -> str:
        """The leader's pod, once there is one."""
        leader: str = wait_until(
            lambda: (pod := self.leader()) != other_than and pod, f"a leader other than {other_than!r}", seconds
        )
        return leader

    def signal(self, pod: str, signal: str, module: str) -> None:
        """Sends a signal to a pod's process from outside of its container, where kill -9 works on process 1 too."""
        told = self._in_process(pod, module, f"kill -{signal} ${{p#/proc/}} && echo sent")
        assert "sent" in told, f"{pod} has no process of {module}"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples at the operator that leads."""
        where = f"/api/v1/namespaces/{self.namespace}/pods/{self.led()}:8080/proxy/metrics"
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in self.kubectl("get", "--raw", where).splitlines() if line.startswith(f"{name}{{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(pair in line for pair in wanted))

    def usage(self, pod: str, module: str) -> tuple[float, float]:
        """What the pod's process uses: MB of memory, and seconds of CPU since its start."""
        told = self._in_process(pod, module, "grep VmRSS $p/status; cut -d' ' -f14,15 $p/stat")
        memory, ticks = told.strip().splitlines()[-2:]
        return int(memory.split()[1]) / 1000, sum(map(int, ticks.split())) / 100

    def _in_process(self, pod: str, module: str, script: str) -> str:
        """Runs a script on the pod's node, with $p as the folder of the pod's process."""
        node = self.get("pod", pod)["spec"]["nodeName"]
        found = (
            f'for p in /proc/[0-9]*; do if tr "\\0" "\\n" <$p/environ 2>/dev/null | grep -qx HOSTNAME={pod} &&'
            f' tr "\\0" " " <$p/cmdline | grep -q {module}; then {script}; fi; done'
        )
        return command("docker", "exec", node, "sh", "-c", found)


def unique(name: str) -> str:
    """A name that no test has used, also on a cluster that was kept."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def agent_run(graph: str | None, agent: str = "all", *, name: str | None = None, **spec: Any) -> Object:
    """An AgentRun; `spec` in camelCase."""
    named = {"graph": graph} if graph else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "AgentRun",
        "metadata": {"name": name or f"{graph or 'run'}-{uuid.uuid4().hex[:8]}"},
        "spec": {"agentRef": {"name": agent}, **named, **({} if "command" in spec else {"input": {}}), **spec},
    }


def condition(thing: Object, kind: str) -> Object:
    """One condition of an object's status; an empty one where there is none."""
    conditions: list[Object] = thing.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == kind), {})


def outcome(run: Object) -> tuple[str, str]:
    """Phase and reason."""
    return run["status"]["phase"], run["status"]["reason"]
