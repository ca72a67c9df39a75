"""The manifest with which Krew installs the plugin `kubectl relayrun`."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import yaml

from release.version import ROOT

ARCHIVE = "kubectl-relayrun.tar.gz"


def archive(folder: Path) -> Path:
    """The plugin with its licence; the same bytes for the same files."""
    made = folder / ARCHIVE
    with (
        made.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, source, mode in (
            ("kubectl-relayrun", "scripts/kubectl-relayrun", 0o755),
            ("LICENSE", "LICENSE", 0o644),
        ):
            content = (ROOT / source).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return made


def manifest(version: str, repository: str, packed: Path) -> str:
    """YAML; `repository` is `owner/name` of GitHub."""
    url = f"https://github.com/{repository}/releases/download/v{version}/{packed.name}"
    platform: dict[str, Any] = {
        # A shell script: any machine that has sh and kubectl.
        "selector": {"matchExpressions": [{"key": "os", "operator": "In", "values": ["linux", "darwin"]}]},
        "uri": url,
        "sha256": hashlib.sha256(packed.read_bytes()).hexdigest(),
        "bin": "kubectl-relayrun",
        "files": [{"from": "kubectl-relayrun", "to": "."}, {"from": "LICENSE", "to": "."}],
    }
    spec = {
        "version": f"v{version}",
        "homepage": f"https://github.com/{repository}",
        "shortDescription": "Run LangGraph agents with Relayrun",
        "description": "Runs the command line of Relayrun in the API's pod:\n"
        "start and follow runs, and make API keys, with nothing installed but kubectl.\n",
        "caveats": "Needs the right to exec into the API's pod.\n",
        "platforms": [platform],
    }
    made = {"apiVersion": "krew.googlecontainertools.github.com/v1alpha2", "kind": "Plugin"}
    return yaml.safe_dump({**made, "metadata": {"name": "relayrun"}, "spec": spec}, sort_keys=False)
