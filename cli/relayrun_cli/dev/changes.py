"""Detects changes of the agent's code: which files count, and one hash of them all."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import watchfiles

SOURCE_SUFFIXES = frozenset({".py", ".yaml", ".yml", ".jinja", ".jinja2", ".j2"})
SOURCE_NAMES = frozenset({"langgraph.json", "pyproject.toml", "requirements.txt", ".env"})
# Not data, Markdown or text: agents write such files, and must not restart themselves by it.
SKIPPED_FOLDERS = frozenset(
    {
        ".relayrun",
        ".git",
        ".hg",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        "site-packages",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        ".idea",
        ".ipynb_checkpoints",
    }
)
GROUPING_MILLISECONDS = 400


class Sources:
    """The files of an agent that its behaviour depends on: below `folders`, and `files` by name."""

    def __init__(self, folders: Sequence[Path], files: Sequence[Path] = ()) -> None:
        self._folders = _outermost(folders)
        self._files = frozenset(files)

    def counts(self, path: Path) -> bool:
        """Whether a change of this file may change what the agent does."""
        if path in self._files:
            return True
        if path.suffix not in SOURCE_SUFFIXES and path.name not in SOURCE_NAMES:
            return False
        return any(
            path.is_relative_to(folder) and not SKIPPED_FOLDERS & set(path.relative_to(folder).parts[:-1])
            for folder in self._folders
        )

    def hash(self) -> str:
        """Of all names and contents: the same code has the same hash, on any day."""
        total = hashlib.sha256()
        for path in sorted({*self._walk(), *self._files}):
            try:
                content = path.read_bytes()
            except OSError:  # vanished, or not ours to read
                continue
            total.update(f"{path}\0{len(content)}\0".encode())
            total.update(content)
        return total.hexdigest()[:12]

    async def changes(self) -> AsyncIterator[set[Path]]:
        """Groups of changed files. Ends never; raises OSError where the system cannot watch so many folders."""
        while True:
            grown = asyncio.Event()

            def wanted(change: watchfiles.Change, name: str, grown: asyncio.Event = grown) -> bool:
                path = Path(name)
                if change is watchfiles.Change.added and path.is_dir() and path.name not in SKIPPED_FOLDERS:
                    grown.set()
                    return True
                return self.counts(path)

            # Folder by folder, not recursively: below may be a virtual environment, or a database at work.
            async for group in watchfiles.awatch(
                *self._watched(), watch_filter=wanted, debounce=GROUPING_MILLISECONDS, recursive=False
            ):
                yield {Path(path) for _, path in group}
                if grown.is_set():
                    break

    def _watched(self) -> list[Path]:
        return sorted({*(folder for folder, _ in self._tree()), *(file.parent for file in self._files)})

    def _walk(self) -> Iterator[Path]:
        for folder, names in self._tree():
            yield from (path for name in names if self.counts(path := folder / name))

    def _tree(self) -> Iterator[tuple[Path, list[str]]]:
        for root in self._folders:
            for where, below, names in os.walk(root):
                below[:] = [name for name in below if name not in SKIPPED_FOLDERS and not _is_venv(where, name)]
                yield Path(where), names


def _outermost(folders: Sequence[Path]) -> list[Path]:
    unique = sorted(set(folders))
    return [one for one in unique if not any(one != other and one.is_relative_to(other) for other in unique)]


def _is_venv(where: str, name: str) -> bool:
    return Path(where, name, "pyvenv.cfg").exists()
