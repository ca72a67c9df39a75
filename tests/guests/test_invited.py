"""Whatever the agent can do, somebody does."""

from __future__ import annotations

import importlib
import sys

import pytest

from tests.guests import guests

MODULES = ("kinds", "raising", "ending", "values")


def test_all_endings_and_values_of_the_agent_are_invited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(guests.AGENT.parent))
    try:
        kinds, raising, ending, values = map(importlib.import_module, MODULES)
    finally:
        for name in MODULES:
            sys.modules.pop(name, None)  # other agents may have modules of these names
    assert set(kinds.KINDS) == {*guests.ERRORS, *guests.MORE_ERRORS}
    in_graph = {"sync", "router", "reducer", "state", "inside", "retried"}
    assert set(guests.IN_TIME) == {*raising.IN_TIME, *in_graph}
    assert set(guests.LATE) == set(raising.LATE)
    assert [set(table) for table in (guests.DEADLY, guests.HARMFUL, guests.FROZEN)] == [
        set(table) for table in (ending.DEADLY, ending.HARMFUL, ending.FROZEN)
    ]
    assert set(values.VALUES) == {*guests.TOLD, *guests.NUMPY, *guests.UNTOLD, *guests.NUMPY_UNTOLD}
