"""The notes of a release: its part of the changelog, then its images with their digests and sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from release.version import ReleaseError


def changes(changelog: str, version: str) -> str:
    """What the changelog says of a version."""
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseError(f"CHANGELOG.md says nothing of {version}: `make version VERSION={version}` cuts it.")
    return found[1].strip()


def notes(changelog: str, version: str, registry: str, digests: Mapping[str, str], sizes: Mapping[str, str]) -> str:
    """Markdown. `digests` by the image's name and tag, `sizes` by what was measured."""
    lines = [changes(changelog, version), "", "## Images", "", "| image | digest |", "|---|---|"]
    lines += [f"| `{registry}/{image}` | `{digest}` |" for image, digest in sorted(digests.items())]
    if sizes:
        lines += ["", "| size | |", "|---|---:|", *(f"| {name} | {size} |" for name, size in sorted(sizes.items()))]
    lines += [
        *("", "## Install", "", "```"),
        f"pip install relayrun=={version}",
        f"helm install relayrun oci://{registry}/charts/relayrun --version {version} \\",
        "  -n relayrun --create-namespace --set api.auth=api-key",
        "```",
    ]
    return "\n".join(lines) + "\n"
