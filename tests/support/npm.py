"""npm, in a folder of this repository that has a lock file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.skipping import skip_loudly


def installed(config: pytest.Config, folder: Path, what: str, *, required: str) -> str:
    """The path of npm, once the folder has what its lock file says.

    Without npm, `what` is skipped loudly; with the environment's `required` at 1, it fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        sentence = f"{what} NOT tested: there is no npm (Node.js 20.19 or newer)"
        skip_loudly(config, sentence, required=required)
    install(npm, folder)
    return npm


def install(npm: str, folder: Path) -> None:
    """Install what the folder's lock file says, if that is not there."""
    # npm leaves this file when it has installed what the lock file says.
    stamp = folder / "node_modules" / ".package-lock.json"
    if not stamp.is_file() or stamp.stat().st_mtime < (folder / "package-lock.json").stat().st_mtime:
        run(folder, npm, "ci")


def run(folder: Path, *command: str | Path) -> None:
    """Run a command there; what it said is told when it fails."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout[-4000:]}"
