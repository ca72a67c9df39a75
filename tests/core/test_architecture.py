"""ARCHITECTURE.md and CONTRIBUTING.md name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("api/", "cli/", "core/", "operator/", "runner/", "tests/", "docs/")


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = {name for name in re.findall(r"`([\w./]+)`", text) if name.startswith(PARTS)}
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    assert named
    assert [name for name in sorted(named | linked) if not (ROOT / name).exists()] == []
