"""Where the relative paths of a `langgraph.json` start: in the working directory, as in `langgraph dev`.

Only where the code it names is not there, but beside the file, do they start in the file's own folder.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path


def found_in(folder: Path, references: Iterable[str], dependencies: Sequence[str]) -> int:
    """How many of `references`, each `./path.py:name` or `package.module:name`, a folder has."""
    return sum(_is_in(folder, reference, dependencies) for reference in references)


def is_a_file(where: str) -> bool:
    """Whether the first half of a reference is a path, and not the name of a module."""
    return where.endswith(".py") or "/" in where


def _is_in(folder: Path, reference: str, dependencies: Sequence[str]) -> bool:
    where = reference.rpartition(":")[0]
    if is_a_file(where):
        return (folder / where).is_file()
    module = Path(*where.split("."))
    roots = [folder / entry / below for entry in (".", *dependencies) for below in (".", "src")]
    return any((root / module).is_dir() or (root / module).with_suffix(".py").is_file() for root in roots)
