"""Finds the sources of images and clusters: in the checkout, or in the copy that the wheel contains.

`hatch_build.py` puts them into the wheel, in the checkout's layout, but for the packages: those are installed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

PARTS = ("core", "operator", "api", "runner")
_KEPT = Path(__file__).with_name("_checkout")
_ROOT = _KEPT if _KEPT.is_dir() else Path(__file__).parents[2]
_FILES = (
    *("Dockerfile", "LICENSE", "pyproject.toml", "uv.lock", "scripts/install-part", "scripts/relayrun"),
    *(f"{part}/pyproject.toml" for part in (*PARTS, "cli")),
)


def root() -> Path:
    """Where `examples`, and what they are made from, can be imported."""
    return _ROOT


def chart() -> Path:
    """The Helm chart's folder."""
    return _ROOT / "charts" / "relayrun"


@contextmanager
def build_context() -> Iterator[Path]:
    """A folder that the images are built from."""
    with tempfile.TemporaryDirectory(prefix="relayrun-images-") as made:
        for name, file in _sources().items():
            target = Path(made) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        yield Path(made)


def digest() -> str:
    """A name for the content that images are built from."""
    summed = hashlib.sha256()
    for name, file in sorted(_sources().items()):
        summed.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return summed.hexdigest()[:16]


def _sources() -> dict[str, Path]:
    """Where each file is, by its place in the context."""
    found = {name: _ROOT / name for name in _FILES}
    for part in (*PARTS, "cli"):
        package = _package(f"relayrun_{part}")
        for file in package.rglob("*"):
            if file.is_file() and not {"__pycache__", _KEPT.name} & {*file.relative_to(package).parts}:
                found[f"{part}/{package.name}/{file.relative_to(package).as_posix()}"] = file
    return found


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, name
    assert spec.origin is not None, name
    return Path(spec.origin).parent
