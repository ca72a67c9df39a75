"""Finds other Pythons of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def interpreter(version: str) -> Path | None:
    """A Python of this version (`3.12`): of the PATH, of pyenv or of uv; None where there is none."""
    names = [Path(folder) / f"python{version}" for folder in os.environ.get("PATH", "").split(os.pathsep)]
    names += sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python{version}"))
    names += sorted(Path("~/.local/share/uv/python").expanduser().glob(f"cpython-{version}.*/bin/python{version}"))
    return next(filter(_runs, names), None)


def _runs(name: Path) -> bool:
    # pyenv has shims for versions too that are not switched on.
    return name.is_file() and not subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode
