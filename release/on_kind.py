"""The packaged chart on kind, from a registry on this machine: install, demo, plugin, upgrade, rollback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from relayrun_core import __version__
from release import built, chart
from release.report import Report, call, tried
from release.version import ROOT, ReleaseError

NAME = "relayrun-release"
CONTEXT = f"kind-{NAME}"
POSTGRES = "pgvector/pgvector:pg17"
VALUES = {"postgres": {"enabled": True}, "sampleAgent": {"enabled": True}, "api": {"auth": "api-key"}}
# Of the chart before, which may not know where its images are: each is named.
_VALUES_OF = {
    "api": "api",
    "operator": "operator",
    "migrations": "runner",
    "tests": "api",
    "sampleAgent": "example-steps",
}
_THREAD = "from-before"
# Newer nodes have this by themselves.
_REGISTRIES = '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'
_KIND = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "containerdConfigPatches": [_REGISTRIES]}


def on_kind(report: Report, folder: Path, relayrun: Path, previous: str | None) -> None:
    """Raises ReleaseError for what does not hold."""
    command = built.crane(folder)
    if command is None:
        report.skip("images, and the chart on kind", "neither crane nor go, to build it, is on the PATH")
        return
    with built.registry(command) as registry:
        try:
            with report.step("images, pushed to a registry on this machine"):
                digests = built.images(ROOT, registry, __version__, built.PARTS)
                built.sizes(report, registry, __version__, built.PARTS)
            with report.step("the chart, packaged with digests and pushed"):
                packed = chart.package(folder / "packed", registry, digests)
                call("helm", "push", "--plain-http", packed, f"oci://{registry}/charts")
            before = None
            if previous is not None:
                with (
                    report.step(f"images of {previous}, the release before"),
                    built.checkout(previous, folder) as source,
                ):
                    before = folder / "chart-before"
                    shutil.copytree(source / "charts" / "relayrun", before)
                    built.images(
                        source, f"{registry}/before", "before", tuple(part for part in built.PARTS if part != "cli")
                    )
            with cluster(registry):
                Release(report, folder, relayrun, registry, digests).check(before)
        finally:
            built.forget(registry)


@contextmanager
def cluster(registry: str) -> Iterator[None]:
    """A kind cluster of one node that finds the registry."""
    node_image = os.environ.get("KIND_NODE_IMAGE")
    image = ["--image", node_image] if node_image else []
    line = ["kind", "create", "cluster", "--name", NAME, "--wait", "120s", *image]
    call(*line, "--config", "-", stdin=yaml.safe_dump(_KIND))
    try:
        configs = json.loads(call("docker", "network", "inspect", "kind"))[0]["IPAM"]["Config"]
        gateway = next(each["Gateway"] for each in configs if "." in each.get("Gateway", ""))
        hosts = f'[host."http://{gateway}:{registry.rpartition(":")[2]}"]\n'
        place = f"/etc/containerd/certs.d/{registry}"
        write = f"mkdir -p '{place}' && cat >'{place}/hosts.toml'"
        call("docker", "exec", "-i", f"{NAME}-control-plane", "sh", "-c", write, stdin=hosts)
        call("kind", "load", "docker-image", "--name", NAME, POSTGRES)
        yield
    finally:
        call("kind", "delete", "cluster", "--name", NAME)


class Release:
    """The release in the cluster. Every command runs in an empty folder: there is no checkout."""

    def __init__(self, report: Report, folder: Path, relayrun: Path, registry: str, digests: dict[str, str]) -> None:
        self._report = report
        self._folder = folder / "empty"
        self._folder.mkdir()
        self._relayrun = relayrun
        self._registry = registry
        self._digests = digests
        self._chart = (f"oci://{registry}/charts/relayrun", "--plain-http", "--version", __version__)

    def check(self, before: Path | None) -> None:
        """Install, or upgrade from `before` and go back to it."""
        if before is None:
            with self._report.step("helm install of the packaged chart"):
                self._helm("install", *self._chart, values=VALUES)
            self._demo()
            self._plugin()
            self._report.skip(
                "upgrade and rollback", "there is no release before this one (--previous COMMIT names one)"
            )
            return
        with self._report.step("helm install of the chart before"):
            named = {
                part: {"image": {"repository": f"{self._registry}/before/relayrun-{image}", "tag": "before"}}
                for part, image in _VALUES_OF.items()
            }
            merged = {part: {**VALUES.get(part, {}), **named.get(part, {})} for part in {*VALUES, *named}}
            self._helm("install", str(before), values=merged)
            self._run(_THREAD, {"input": {"step_seconds": 0.1}}, "WaitingForInput")
        with self._report.step("helm upgrade to the packaged chart"):
            self._helm("upgrade", *self._chart, values=VALUES)
        self._demo()
        self._plugin()
        with self._report.step("a thread from before the upgrade goes on"):
            self._run(f"{_THREAD}-approved", {"command": {"resume": {"approved": True}}}, "Succeeded")
        with self._report.step("helm rollback"):
            call(
                "helm",
                "--kube-context",
                CONTEXT,
                "-n",
                "relayrun",
                "rollback",
                "relayrun",
                "1",
                "--wait",
                "--wait-for-jobs",
                "--timeout",
                "5m",
            )
            self._ready()
        self._demo()

    def _helm(self, verb: str, *words: str, values: object) -> None:
        line = [
            "helm",
            "--kube-context",
            CONTEXT,
            verb,
            "relayrun",
            *words,
            "-n",
            "relayrun",
            "--wait",
            "--wait-for-jobs",
            "--timeout",
            "8m",
        ]
        created = ["--create-namespace"] if verb == "install" else []
        call(*line, *created, "-f", "-", cwd=self._folder, stdin=yaml.safe_dump(values))
        self._ready()

    def _ready(self) -> None:
        self._kubectl("wait", "--for=create", "agent/steps", "--timeout=120s")
        self._kubectl("rollout", "status", "deployment/relayrun-operator", "--timeout=120s")
        self._kubectl("wait", "--for=condition=Ready", "agent/steps", "--timeout=240s")

    def _demo(self) -> None:
        with self._report.step("relayrun demo --cluster"):
            story = call(self._relayrun, "demo", "--cluster", "--context", CONTEXT, cwd=self._folder, COLUMNS="160")
            print(
                "\n".join(
                    f"   {line.strip()}" for line in story.splitlines() if "attempt 2" in line or "all 12" in line
                )
            )

    def _plugin(self) -> None:
        """The first API key with kubectl alone, a run with it, and the image of the command."""
        with self._report.step("kubectl relayrun, and the image relayrun-cli"):
            plugins = self._folder / "bin"
            plugins.mkdir()
            shutil.copy(ROOT / "scripts" / "kubectl-relayrun", plugins)
            path = f"{plugins}:{os.environ['PATH']}"
            plugin = ("kubectl", "relayrun", "-n", "relayrun", "--context", CONTEXT)
            listed = call("kubectl", "plugin", "list", cwd=self._folder, PATH=path)
            if "kubectl-relayrun" not in listed:
                raise ReleaseError(f"kubectl does not list the plugin:\n{listed}")
            key = call(*plugin, "keys", "create", "--owner", "me", cwd=self._folder, PATH=path).strip()
            words = [*plugin, "run", "refund", "-i", '{"step_seconds": 0.1}', "--wait"]
            ran = tried(words, self._folder, environment={"PATH": path, "RELAYRUN_API_KEY": key})
            if ran.returncode != 3 or "__interrupt__" not in ran.stdout:
                raise ReleaseError(f"kubectl relayrun run ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
            image = f"{self._registry}/relayrun-cli@{self._digests['relayrun-cli']}"
            asked = ("threads", "--json", "--url", "http://relayrun-api", "--api-key", key)
            # Not --attach: what a pod prints that ends before the attach is lost.
            self._kubectl("run", "cli", f"--image={image}", "--restart=Never", "--", *asked)
            self._kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/cli", "--timeout=120s")
            if "interrupted" not in (told := self._kubectl("logs", "cli")):
                raise ReleaseError(f"the image relayrun-cli does not show the thread: {told}")
            self._kubectl("delete", "pod", "cli", "--wait=false")

    def _run(self, name: str, payload: dict[str, object], phase: str) -> None:
        spec = {"agentRef": {"name": "steps"}, "thread": _THREAD, **payload}
        made = {"apiVersion": "relayrun.dev/v1alpha1", "kind": "AgentRun", "metadata": {"name": name}, "spec": spec}
        self._kubectl("apply", "-f", "-", stdin=json.dumps(made))
        self._kubectl("wait", "--for=condition=Finished", f"agentrun/{name}", "--timeout=120s")
        status = json.loads(self._kubectl("get", f"agentrun/{name}", "-o", "json"))["status"]
        if status["phase"] != phase:
            raise ReleaseError(f"the run {name} should be {phase} and is {status['phase']}: {status.get('message')}")

    def _kubectl(self, *words: str, stdin: str | None = None) -> str:
        return call("kubectl", "--context", CONTEXT, "-n", "relayrun", *words, cwd=self._folder, stdin=stdin)
