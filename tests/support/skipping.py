"""Skips that nobody overlooks."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import pytest

_STARS = "*" * 80


def skip_loudly(config: pytest.Config, sentence: str, *, required: str) -> NoReturn:
    """Skip, and say so beside the dots; with the environment's `required` at 1, fail."""
    if os.environ.get(required) == "1":
        pytest.fail(sentence, pytrace=False)
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{_STARS}\n* SKIPPED: {sentence}\n{_STARS}", file=sys.stderr)
    pytest.skip(sentence)
