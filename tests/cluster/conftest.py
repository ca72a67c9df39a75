"""The session's cluster: made once, with the chart installed and one Agent (`all`) of the tests' image.

KEEP_CLUSTER=1 leaves it and uses it again; KEEP_CLUSTER=as-is also builds and installs nothing. CLUSTER_KUBECONFIG=FILE
takes a real cluster instead: CLUSTER_IMAGES is then the registry and folder of the images (tag CLUSTER_TAG), and tests
that need kind's containers are skipped.
REQUIRE_CLUSTER=1 makes a skip a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import NAMESPACE, Cluster, CommandError, command, wait_until

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
# Two sessions on one machine must not take each other's; one that is kept has a name to find it by.
KIND_CLUSTER = "relayrun-test" if os.environ.get("KEEP_CLUSTER") else f"relayrun-test-{os.getpid()}"
PARTS = ("operator", "api", "runner")
#: The operator sees to this namespace as well.
SECOND_NAMESPACE = "relayrun-second"
#: What most tests run on.
ALL: dict[str, Any] = {"runners": {"min": 2, "max": 4, "spare": 1}, "runHistoryLimit": 2000}
_LONGEST_TEST_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(_LONGEST_TEST_SECONDS, func_only=True))


def missing(tools: Sequence[str] = ("docker", "kind", "kubectl", "helm")) -> str | None:
    """What is not there of these tools, in a few words."""
    tools = [tool for tool in tools if shutil.which(tool) is None]
    if tools:
        return f"{', '.join(tools)} not on the PATH"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "Docker does not answer"
    return None


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if given := os.environ.get("CLUSTER_KUBECONFIG"):
        yield from _given_cluster(Path(given))
        return
    if (lacking := missing()) is not None:
        if os.environ.get("REQUIRE_CLUSTER") == "1":
            pytest.fail(f"REQUIRE_CLUSTER=1, and the cluster layer cannot run: {lacking}")
        pytest.skip(f"CLUSTER LAYER SKIPPED: {lacking}")
    keep = os.environ.get("KEEP_CLUSTER") in {"1", "as-is"}
    folder = tmp_path_factory.mktemp("cluster")
    as_is = os.environ.get("KEEP_CLUSTER") == "as-is"
    try:
        with ThreadPoolExecutor() as pool:
            building = None if as_is else pool.submit(_build_all)
            made = _kind_cluster(folder, keep=keep)
            if building is None:
                _as_it_is(made)
            else:
                _load_postgres()
                building.result()
        if not as_is:
            _install(made, _load(made))
        yield made
        if keep or os.environ.get("CLUSTER_DUMP"):
            _dump(made)
    finally:
        if not keep:
            # Nobody waits for it.
            command("setsid", "sh", "-c", f"kind delete cluster --name {KIND_CLUSTER} >/dev/null 2>&1 &")


def _kind_cluster(folder: Path, *, keep: bool) -> Cluster:
    kubeconfig = folder / "kubeconfig"
    if not (keep and KIND_CLUSTER in command("kind", "get", "clusters").split()):
        _note("making a cluster of three nodes")
        config = folder / "kind.yaml"
        config.write_text((HERE / "kind.yaml").read_text().replace("API_PORT", str(_free_port())))
        image = ["--image", os.environ["KIND_NODE_IMAGE"]] if os.environ.get("KIND_NODE_IMAGE") else []
        line = ["kind", "create", "cluster", "--name", KIND_CLUSTER, "--config", str(config), "--wait", "180s", *image]
        command(*line, "--kubeconfig", str(kubeconfig), seconds=400)
    else:
        kubeconfig.write_text(command("kind", "get", "kubeconfig", "--name", KIND_CLUSTER))
    port = command("docker", "port", f"{KIND_CLUSTER}-control-plane", "30080/tcp").strip().rpartition(":")[2]
    return Cluster(KIND_CLUSTER, kubeconfig, api_url=f"http://127.0.0.1:{port}")


def _build_all() -> None:
    command(str(ROOT / "scripts" / "cluster.sh"), "images", seconds=900)
    folder = str(HERE / "agent")
    for generation in ("1", "2"):
        _build(f"relayrun-test-agent:{generation}", folder, f"GENERATION={generation}")
    _note("images are built")


def _load(made: Cluster) -> list[str]:
    """Loads the images to the nodes that run them; Helm's values that name them are returned."""
    _note("loading images")
    tags = {part: _content_tag(f"relayrun-{part}:dev") for part in PARTS}
    made.agent_image = "relayrun-test-agent:1"
    images = [f"relayrun-{part}:{tag}" for part, tag in tags.items()]
    images += ["relayrun-test-agent:1", "relayrun-test-agent:2"]
    _kind_load(("worker", "worker2"), *images)
    values = {"operator": tags["operator"], "api": tags["api"], "tests": tags["api"], "migrations": tags["runner"]}
    return [f"--set={part}.image.tag={tag}" for part, tag in values.items()]


def _build(image: str, folder: str, argument: str) -> None:
    client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
    command("env", "DOCKER_BUILDKIT=1", client, "build", "-q", "-t", image, "--build-arg", argument, folder)


def _content_tag(image: str) -> str:
    tag = "t" + command("docker", "image", "inspect", "-f", "{{.Id}}", image).strip().removeprefix("sha256:")[:12]
    command("docker", "tag", image, f"{image.partition(':')[0]}:{tag}")
    return tag


def _load_postgres() -> None:
    image = "pgvector/pgvector:pg17"
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
        command("docker", "pull", "-q", image, seconds=400)
    _kind_load(("control-plane",), image)


def _kind_load(nodes: Sequence[str], *images: str) -> None:
    names = ",".join(f"{KIND_CLUSTER}-{node}" for node in nodes)
    command(*("kind", "load", "docker-image", "--name", KIND_CLUSTER, "--nodes", names, *images), seconds=600)


def _install(made: Cluster, values: list[str]) -> None:
    _note("installing the chart")
    for namespace in (NAMESPACE, SECOND_NAMESPACE):
        if not made.find("namespace", namespace):
            made.kubectl("create", "namespace", namespace)
        # From the first pod on: whatever the chart and the operator make has to pass.
        made.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    made.made = [*values, f"--set=watchNamespaces={{{NAMESPACE},{SECOND_NAMESPACE}}}"]
    with ThreadPoolExecutor() as pool:
        installing = pool.submit(
            made.helm,
            *("upgrade", "--install", "relayrun", str(ROOT / "charts" / "relayrun"), "--namespace", NAMESPACE),
            *("--values", str(HERE / "values.yaml"), *made.made, "--wait", "--timeout", "5m"),
        )
        wait_until(lambda: installing.done() or made.find("crd", "agents.relayrun.dev"), "the kinds are there", 120)
        if not installing.done():
            # Its runners start beside the other parts.
            made.kubectl("wait", "--for=condition=Established", "crd/agents.relayrun.dev", "--timeout=60s")
            made.agent("all", **ALL, ready=False)
        installing.result()
    _note("waiting for the Agent")
    made.kubectl("delete", "ar", "--all")
    made.agent("all", **ALL)
    wait_until(lambda: len(_ready(made)) >= 2, "two runners are ready", 60)
    _note("ready")


def _as_it_is(made: Cluster) -> None:
    made.agent_image = "relayrun-test-agent:1"
    values = json.loads(made.helm("get", "values", "relayrun", "-n", NAMESPACE, "-o", "json"))
    parts = ("operator", "api", "tests", "migrations")
    made.made = [f"--set={part}.image.tag={values[part]['image']['tag']}" for part in parts]
    made.made += [f"--set=watchNamespaces={{{','.join(values.get('watchNamespaces') or [NAMESPACE])}}}"]


def _ready(made: Cluster) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in made.runners("all")
        if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    ]


def _given_cluster(kubeconfig: Path) -> Iterator[Cluster]:
    prefix, tag = os.environ["CLUSTER_IMAGES"].rstrip("/"), os.environ.get("CLUSTER_TAG", "dev")
    port = _free_port()
    made = Cluster(
        "given", kubeconfig, api_url=f"http://127.0.0.1:{port}", agent_image=f"{prefix}/relayrun-test-agent:{tag}"
    )
    parts = ("operator", "api", "tests", "migrations")
    _install(made, [f"--set=global.imageRegistry={prefix}", *(f"--set={part}.image.tag={tag}" for part in parts)])
    line = [
        "kubectl",
        "--kubeconfig",
        str(kubeconfig),
        "-n",
        NAMESPACE,
        "port-forward",
        "svc/relayrun-api",
        f"{port}:80",
    ]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as forwarding:
        try:
            yield made
        finally:
            forwarding.terminate()


@pytest.fixture
def nodes(cluster: Cluster) -> Cluster:
    """The cluster, where its nodes are containers that a test may pause and look into."""
    if cluster.name != KIND_CLUSTER:
        pytest.skip("needs a kind cluster")
    return cluster


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_BEGAN = time.monotonic()


def _note(text: str) -> None:
    print(f"[cluster {time.monotonic() - _BEGAN:.0f} s] {text}", flush=True)


def _dump(made: Cluster) -> None:
    for line in (
        ["get", "pods", "-o", "wide"],
        ["get", "agents,ar"],
        ["logs", "deployment/relayrun-operator", "--tail=50"],
    ):
        try:
            _note(made.kubectl(*line))
        except CommandError as error:
            _note(str(error))
