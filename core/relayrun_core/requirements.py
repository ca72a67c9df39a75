"""Checks a distribution's requirements against the installed packages.

`python -m relayrun_core.requirements DISTRIBUTION` prints what does not fit and exits with 1. Images are built with it.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement


def unmet(name: str) -> list[str]:
    """Return a phrase for each requirement that no installed package meets, extras aside.

    Empty as well where the distribution itself is not installed: its code is then run from its folder.
    """
    try:
        wanted = [Requirement(line) for line in _header(name, "Requires-Dist")]
    except PackageNotFoundError:
        return []
    problems = []
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            problems += _problems(requirement)
    return problems


def is_installed(name: str) -> bool:
    """Whether there is such a distribution: images have the command's code without it."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def sentence(problems: list[str]) -> str:
    """What a person reads."""
    return f"Relayrun does not fit the packages of this environment ({sys.prefix}): {'; '.join(problems)}."


def _problems(requirement: Requirement) -> list[str]:
    if requirement.name.startswith("relayrun-"):
        return unmet(requirement.name)
    try:
        [there] = _header(requirement.name, "Version")
    except PackageNotFoundError:
        return [f"{requirement.name} is not installed; install '{requirement}'"]
    if requirement.specifier.contains(there, prereleases=True):
        return []
    return [f"{requirement.name} is {there}; install '{requirement}'"]


def _header(name: str, field: str) -> list[str]:
    # The library parses whole readmes, of two dozen packages, each time that `dev` starts.
    header, _, _ = (distribution(name).read_text("METADATA") or "").partition("\n\n")
    return [line.removeprefix(f"{field}: ") for line in header.splitlines() if line.startswith(f"{field}: ")]


if __name__ == "__main__":
    if found := unmet(sys.argv[1]):
        sys.exit(sentence(found))
