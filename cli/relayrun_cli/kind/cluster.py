"""A cluster of kind: one node, whose port 30080 is a port of this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from relayrun_cli.kind.tools import call, succeeds

#: The API's NodePort.
NODE_PORT = 30080


class KindCluster:
    """A cluster by its name. Every cluster that is made here, and so may be removed, is called `relayrun-…`."""

    def __init__(self, project: str) -> None:
        self.name = f"relayrun-{project}"
        self.context = f"kind-{self.name}"

    def exists(self) -> bool:
        """Whether there is one of this name."""
        return self.name in call(["kind", "get", "clusters"]).split()

    def create(self, port: int, node_image: str | None) -> None:
        """Make it; `port` is of 127.0.0.1."""
        mapping = {"containerPort": NODE_PORT, "hostPort": port, "listenAddress": "127.0.0.1"}
        nodes = [{"role": "control-plane", "extraPortMappings": [mapping]}]
        config = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes}
        image = ["--image", node_image] if node_image else []
        line = ["kind", "create", "cluster", "--name", self.name, "--wait", "120s", "--config", "-", *image]
        call(line, json.dumps(config))

    def port(self) -> int:
        """The port of this machine that leads to the API."""
        output = call(["docker", "port", f"{self.name}-control-plane", f"{NODE_PORT}/tcp"])
        return int(output.split()[0].rpartition(":")[2])

    def load(self, images: Sequence[str]) -> None:
        """Have its node know these images."""
        call(["kind", "load", "docker-image", "--name", self.name, *images])

    def delete(self) -> None:
        """Remove it with all that is in it."""
        call(["kind", "delete", "cluster", "--name", self.name])

    def helm(self, *words: str, values: Any) -> None:
        """Run helm with these values."""
        call(["helm", "--kube-context", self.context, *words, "--values", "-"], json.dumps(values))

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Run kubectl, and return what it printed."""
        return call(["kubectl", "--context", self.context, *words], stdin)


def local_image(image: str, source: str) -> str:
    """The image under a tag that changes with its content, so that what runs it is replaced when it has changed."""
    identity = call(["docker", "image", "inspect", "-f", "{{.Id}}", source]).strip().removeprefix("sha256:")
    tagged = f"{image}:{identity[:12]}"
    call(["docker", "tag", source, tagged])
    return tagged


def pulled(image: str) -> str:
    """An image of a registry, fetched where it is not here yet."""
    if not succeeds(["docker", "image", "inspect", image]):
        call(["docker", "pull", "-q", image])
    return image
