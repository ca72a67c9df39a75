"""The chart's values and the Agent for a project's cluster. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relayrun_cli.dev.options import STUDIO_URL
from relayrun_cli.dev.processes import DEFAULT_ORIGIN
from relayrun_cli.kind.cluster import NODE_PORT

if TYPE_CHECKING:
    from relayrun_runner.config.model import Config

NAMESPACE = "relayrun"
POSTGRES_IMAGE = "pgvector/pgvector:pg17"
# `relayrun-` before it and `-control-plane` behind it make the host name of a node, of 63 characters at most.
_LONGEST_NAME = 40


def project_name(asked: str | None, folder: Path) -> str:
    """The Agent's name: what was asked for, else the folder's, as Kubernetes writes names."""
    name = re.sub(r"[^a-z0-9]+", "-", (asked or folder.name).lower())[:_LONGEST_NAME].strip("-")
    return name if name[:1].isalpha() else f"agent-{name}".rstrip("-")


def chart_values(config: Config, name: str, images: dict[str, str]) -> dict[str, Any]:
    """Values for a machine of one's own: one replica of each part, and a Postgres. `images` by part."""
    image = {part: {"tag": found.rpartition(":")[2]} for part, found in images.items()}
    access = {"auth": "none"} if config.auth is None else {"auth": "custom", "authAgent": name}
    store = {} if config.store is None else {"store": config.store.model_dump(exclude_none=True)}
    return {
        "postgres": {"enabled": True},
        "operator": {"replicas": 1, "image": image["operator"]},
        "api": {
            "replicas": 1,
            "image": image["api"],
            "rateLimit": {"runs": 0},
            "corsOrigins": [DEFAULT_ORIGIN, STUDIO_URL],
            "service": {"type": "NodePort", "nodePort": NODE_PORT},
            **access,
        },
        "migrations": {"image": image["runner"], **store},
        "tests": {"image": image["api"]},
    }


def agent(name: str, image: str) -> dict[str, Any]:
    """The Agent of the project."""
    return {
        "apiVersion": "relayrun.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"image": image, "runners": {"min": 2, "max": 4}},
    }
