"""The chart as it is released: with the registry of its images, and each image's digest."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from relayrun_core import __version__
from release.version import ROOT, ReleaseError

CHART = ROOT / "charts" / "relayrun"
_REGISTRY = 'relayrunRegistry: ""'
_IMAGE = re.compile(r'\{repository: (relayrun-[a-z-]+), tag: ""')


def images() -> set[str]:
    """Names of Relayrun's own images that the chart has."""
    return set(_IMAGE.findall((CHART / "values.yaml").read_text()))


def released(values: str, registry: str, digests: Mapping[str, str]) -> str:
    """The text of values.yaml with a registry and digests, comments and all. `digests` by the image's name."""
    if missing := set(_IMAGE.findall(values)) - set(digests):
        raise ReleaseError(f"These images of the chart have no digest: {', '.join(sorted(missing))}.")
    if values.count(_REGISTRY) != 1:
        raise ReleaseError(f"values.yaml has not one {_REGISTRY}.")
    named = values.replace(_REGISTRY, f"relayrunRegistry: {registry}")
    return _IMAGE.sub(lambda found: f'{{repository: {found[1]}, tag: "", digest: "{digests[found[1]]}"', named)


def package(folder: Path, registry: str, digests: Mapping[str, str]) -> Path:
    """The packaged chart, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="relayrun-chart-") as made:
        source = Path(made) / "relayrun"
        shutil.copytree(CHART, source)
        (source / "values.yaml").write_text(released((CHART / "values.yaml").read_text(), registry, digests))
        shutil.copyfile(ROOT / "LICENSE", source / "LICENSE")
        lint = ["helm", "lint", "--quiet", "--kube-version", "1.34", "--set", "api.auth=none", source]
        subprocess.run(lint, check=True)
        subprocess.run(["helm", "package", "--destination", folder, source], check=True, stdout=subprocess.DEVNULL)
    return folder / f"relayrun-{__version__}.tgz"
