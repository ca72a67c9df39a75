"""The version has one place, `relayrun_core.__version__`; what has to repeat it is written from there, and checked."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from relayrun_core import __version__

ROOT = Path(__file__).resolve().parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
SOURCE = ROOT / "core" / "relayrun_core" / "__init__.py"
PARTS = ("core", "operator", "api", "runner", "cli")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_IN_PROJECT = r'^version = "(.*)"$'
_PLACES = {
    SOURCE: [r'^__version__ = "(.*)"$'],
    **{ROOT / part / "pyproject.toml": [_IN_PROJECT] for part in PARTS},
    ROOT / "charts" / "relayrun" / "Chart.yaml": [r"^version: (.*)$", r'^appVersion: "(.*)"$'],
}


class ReleaseError(Exception):
    """What is wrong, and what to do."""


def disagreements() -> list[str]:
    """A sentence for each place that does not have the version."""
    found = []
    for file, patterns in _PLACES.items():
        for pattern in patterns:
            told = re.search(pattern, file.read_text(), re.MULTILINE)
            if told is None or told[1] != __version__:
                found.append(f"{file.relative_to(ROOT)} has {told and told[1]}, and not {__version__}: {pattern}")
    return found


def write(version: str, today: date) -> None:
    """Write a new version everywhere, and give it what is unreleased in the changelog."""
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version} is no version of ours: write three numbers, as 1.2.3.")
    changed = cut(CHANGELOG.read_text(), version, today)
    for file, patterns in _PLACES.items():
        text = file.read_text()
        for pattern in patterns:
            text = re.sub(pattern, lambda found: found[0].replace(found[1], version), text, count=1, flags=re.MULTILINE)
        file.write_text(text)
    CHANGELOG.write_text(changed)


def cut(changelog: str, version: str, today: date) -> str:
    """The changelog with its unreleased part under a version."""
    if f"## [{version}]" in changelog:
        raise ReleaseError(f"CHANGELOG.md has {version} already: choose the next one.")
    before, heading, after = changelog.partition("## [Unreleased]\n")
    if not heading or not after.partition("\n## [")[0].strip():
        raise ReleaseError("CHANGELOG.md has nothing under [Unreleased]: say what the release brings.")
    return f"{before}{heading}\n## [{version}] - {today.isoformat()}\n{after}"
