"""Reads the tables of a Markdown page, so that tests can hold them against the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def sections(page: str) -> dict[str, str]:
    """The text of a page by its headings, of whatever level."""
    parts = re.split(r"^#+ (.+)$", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(section: str) -> Iterator[list[str]]:
    """The cells of a section's table rows, headers left out."""
    for line in re.findall(r"^\|(.+)\|$", section, flags=re.MULTILINE):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if cells[0].startswith("`") or cells[0].isdigit():
            yield cells
