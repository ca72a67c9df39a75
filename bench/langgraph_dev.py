"""`langgraph dev` in a virtual environment of its own, as `langgraph_dev.lock` has it, package by package.

`python -m bench.langgraph_dev` writes the lock anew with the newest versions: `make update` does, nothing else.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.processes import ServerStartError

_REPOSITORY = Path(__file__).resolve().parent.parent
_VENV = _REPOSITORY / ".bench" / "langgraph-dev"
_WANTED = "bench/langgraph_dev.in"
_LOCK = "bench/langgraph_dev.lock"


def installed() -> Path:
    """Makes the environment once, again when the lock changed, and returns its `langgraph` command."""
    lock = (_REPOSITORY / _LOCK).read_bytes()
    executable, stamp, digest = _VENV / "bin" / "langgraph", _VENV / "installed", hashlib.sha256(lock).hexdigest()
    if executable.exists() and stamp.exists() and stamp.read_text() == digest:
        return executable
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(_VENV))
    python = str(_VENV / "bin" / "python")
    _uv("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", python, _LOCK)
    stamp.write_text(digest)
    return executable


def version() -> str:
    """The version of `langgraph-cli` in the lock."""
    lines = (_REPOSITORY / _LOCK).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.startswith("langgraph-cli"))


def update() -> None:
    """Write the lock anew, with the newest versions of everything."""
    python = ("--universal", "--python-version", "3.11")
    _uv("pip", "compile", "--quiet", "--upgrade", "--generate-hashes", *python, _WANTED, "--output-file", _LOCK)


def _uv(*words: str) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise ServerStartError("no uv found: run this by `make`, which passes it as UV=")
    subprocess.run([uv, *words], check=True, cwd=_REPOSITORY)


if __name__ == "__main__":
    update()
