"""Virtual environments of other Pythons of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from release import pythons
from tests.support.skipping import skip_loudly

REPOSITORY = Path(__file__).parents[2]
# The tests' own settings of pip and of Python are not the person's.
_OURS = ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "RELAYRUN_", "DATABASE_URL")


def interpreter(config: pytest.Config, version: str) -> Path:
    """A Python of this version (`3.12`); loudly skipped where there is none. REQUIRE_PYTHONS=1 makes that a failure."""
    found = pythons.interpreter(version)
    if found is None:
        sentence = f"nothing was installed into Python {version}: there is none here"
        skip_loudly(config, sentence, required="REQUIRE_PYTHONS")
    return found


class Venv:
    """A fresh virtual environment."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        uv("venv", "--quiet", "--seed", "--python", str(python), str(folder))

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def relayrun(self) -> Path:
        return self.folder / "bin" / "relayrun"

    def uv_install(self, *wanted: str) -> None:
        uv("pip", "install", "--quiet", "--python", str(self.python), *wanted)

    def pip_install(self, *wanted: str) -> None:
        run([str(self.python), "-m", "pip", "install", "--quiet", "--no-compile", *wanted], self.folder)

    def installed(self) -> dict[str, str]:
        """Names and versions of all that is in it."""
        lines = uv("pip", "freeze", "--python", str(self.python)).splitlines()
        return dict(line.replace(" @ ", "==").split("==", 1) for line in lines)


def uv(*words: str) -> str:
    return run([os.environ.get("UV", "uv"), *words], REPOSITORY)


def run(words: list[str], folder: Path) -> str:
    """Standard output of a command that has to succeed."""
    ended = tried(words, folder)
    assert ended.returncode == 0, f"{' '.join(words)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def tried(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command, however it ends; without what the environment says of this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
