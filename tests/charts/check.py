"""`python -m tests.charts.check`: lints the chart and holds what it renders against Kubernetes' own schemas, offline.

Renders once for each file in the chart's `ci/`. Kinds of other projects (Prometheus
Operator, Gateway API) have no schema here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

CHART = Path(__file__).parents[2] / "charts" / "relayrun"
#: The oldest Kubernetes that the chart accepts, and the newest it is tried on.
VERSIONS = ("1.32", "1.34")
_FOREIGN = ("monitoring.coreos.com/", "gateway.networking.k8s.io/", "apiextensions.k8s.io/")


def main() -> int:
    """0 when all is well, 1 with a line for each problem, 2 without helm."""
    if shutil.which("helm") is None:
        print("there is no helm on the PATH", file=sys.stderr)
        return 2
    problems = [problem for values in sorted(CHART.glob("ci/*.yaml")) for problem in check(values)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def check(values: Path) -> Iterator[str]:
    """A sentence for each problem of the chart with these values."""
    name, more = values.name, ["--values", str(values)]
    for version in VERSIONS:
        lint = _helm("lint", "--strict", "--quiet", "--kube-version", version, str(CHART), *more)
        if lint.returncode:
            yield f"{name}: helm lint: {lint.stdout}{lint.stderr}"
            continue
        made = _helm("template", "relayrun", str(CHART), "--namespace", "relayrun", "--kube-version", version, *more)
        if made.returncode:
            yield f"{name}: helm template: {made.stderr}"
            continue
        for document in yaml.safe_load_all(made.stdout):
            if document and (problem := _wrong(document, version)):
                yield f"{name}, {version}: {document['kind']} {document['metadata']['name']}: {problem}"


def _wrong(document: dict[str, Any], version: str) -> str | None:
    if document["apiVersion"].startswith(_FOREIGN):
        return None
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{error.message} at {error.json_path}"
    return None


def _helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
