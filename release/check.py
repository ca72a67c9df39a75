"""`make release-check`: all of a release that a machine without a registry can do.

Builds wheels and images, runs the demo from the wheel in fresh environments, installs the packaged chart on kind from a
registry on this machine, upgrades from the release before, rolls back. Says what it skipped and why.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from relayrun_core import __version__
from release import version
from release.on_kind import on_kind
from release.pythons import interpreter
from release.report import Report, call, tried
from release.version import ROOT, ReleaseError

PYTHONS = ("3.11", "3.12", "3.13")
UV = os.environ.get("UV", "uv")


def main() -> int:
    """0, or 1 with a sentence for what was wrong."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--previous", help="the release before; default: the newest tag v* before this commit")
    options.add_argument("--no-cluster", action="store_true", help="leave the part on kind out")
    given = options.parse_args()
    report = Report()
    # Passable for the user that Postgres runs as when we are root.
    with tempfile.TemporaryDirectory(prefix="relayrun-release-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        try:
            with report.step(f"one version: {__version__}"):
                if wrong := version.disagreements():
                    raise ReleaseError("\n".join(wrong))
                call(UV, "lock", "--check", "--offline")
            with report.step("known advisories of the locked packages"):
                audit(report, folder)
            wheel = build(report, folder)
            environments = [demo(report, folder, wheel, python) for python in PYTHONS]
            relayrun = next((each for each in reversed(environments) if each), None)
            report.skip(
                "images for arm64, SBOM, signatures, provenance", "they need a registry and an identity provider"
            )
            cluster(report, folder, relayrun, given)
            report.end()
        except ReleaseError as error:
            print(f"\nThe release check failed: {error}", file=sys.stderr)
            return 1
    print("All that was checked holds.")
    return 0


def build(report: Report, folder: Path) -> Path:
    """The wheel; the sdist is built on the way and the wheel from it, as an index's users have it."""
    with report.step("wheel and sdist"):
        call(ROOT / "scripts" / "console.sh")
        call(UV, "build", "--quiet", "--out-dir", folder, "cli")
        [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
        report.size("wheel", wheel.stat().st_size / 1e6)
        report.size("sdist", sdist.stat().st_size / 1e6)
    return wheel


def demo(report: Report, folder: Path, wheel: Path, python: str) -> Path | None:
    """The command of a fresh environment in which the demo ran; None where there is no such Python."""
    with report.step(f"the demo from the wheel, Python {python}"):
        found = interpreter(python)
        if found is None:
            report.skip(f"the wheel on Python {python}", "there is none on this machine")
            return None
        venv = folder / f"venv-{python}"
        call(UV, "venv", "--quiet", "--python", found, venv)
        call(UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", venv / "bin" / "python", wheel)
        relayrun = venv / "bin" / "relayrun"
        told = call(relayrun, "--version", cwd=folder).strip()
        if told != f"relayrun {__version__}":
            raise ReleaseError(f"the installed command calls itself {told}.")
        story = call(relayrun, "demo", cwd=folder, NO_COLOR="1", COLUMNS="120")
        print("\n".join(line for line in story.splitlines() if line.startswith((" kill -9 →", " ✓"))))
    return relayrun


def audit(report: Report, folder: Path) -> None:
    """Fails for a package with a known advisory. Skipped where the index has no answer."""
    wanted = folder / "requirements.txt"
    exported = call(UV, "export", "-q", "--frozen", "--no-dev", "--no-emit-workspace", "--all-extras", "--no-hashes")
    wanted.write_text(exported)
    line = ["pip-audit", "--vulnerability-service", "pypi", "--no-deps", "--disable-pip", "--format", "json"]
    ended = tried([UV, "tool", "run", "--quiet", *line, "--requirement", wanted])
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        report.skip("pip-audit", f"it did not run: {(ended.stderr.strip().splitlines() or ['no output'])[-1]}")
        return
    asked = [package for package in packages if "vulns" in package]
    known = [f"{each['name']} {each['version']}: {vuln['id']}" for each in asked for vuln in each["vulns"]]
    if known:
        raise ReleaseError("known advisories: " + "; ".join(known))
    if len(asked) < len(packages):
        report.skip(
            f"pip-audit for {len(packages) - len(asked)} of {len(packages)} packages",
            "the package index answers nothing about their advisories",
        )


def cluster(report: Report, folder: Path, relayrun: Path | None, given: argparse.Namespace) -> None:
    """Images, and what is done with them on kind."""
    missing = [tool for tool in ("docker", "kind", "kubectl", "helm") if shutil.which(tool) is None]
    if given.no_cluster or missing or relayrun is None:
        why = f"{', '.join(missing)} is not on the PATH" if missing else "it was left out (--no-cluster)"
        report.skip("images, and the chart on kind", why if relayrun else "there is no installed relayrun")
        return
    tag = tried(["git", "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"])
    previous = given.previous or (tag.stdout.strip() if tag.returncode == 0 else None)
    on_kind(report, folder, relayrun, previous)


if __name__ == "__main__":
    sys.exit(main())
