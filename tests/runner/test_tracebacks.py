"""What an author reads of an exception: their own frames, libraries in a line, the exception at the end."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from relayrun_runner.author_errors import compact, compact_cause
from relayrun_runner.graphs.imports import load_object
from tests.runner.test_config import load


def raised(code: str, folder: Path) -> BaseException:
    """What the import of such an agent raises."""
    (folder / "agent.py").write_text(code)
    sys.modules.pop("agent", None)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - any, as author code may
        load_object(load(folder), "./agent.py:graph")
    assert caught.value.__traceback__ is not None
    return caught.value.with_traceback(caught.value.__traceback__.tb_next)


def told(code: str, folder: Path) -> list[str]:
    return re.sub(r"\n *[\^~]+(?=\n|$)", "", compact(raised(code, folder))).replace(f"{folder}/", "").splitlines()


def test_of_a_missing_module_the_line_that_imports_it_is_told(tmp_path: Path) -> None:
    assert told("import json\nimport not_installed\n", tmp_path) == [
        '  File "agent.py", line 2, in <module>',
        "    import not_installed",
        "ModuleNotFoundError: No module named 'not_installed'",
    ]


def test_frames_of_libraries_are_a_line_and_the_exception_stands_at_the_end(tmp_path: Path) -> None:
    code = (
        "from langgraph.graph import StateGraph\ndef make():\n    return StateGraph(dict).compile()\ngraph = make()\n"
    )
    assert told(code, tmp_path) == [
        '  File "agent.py", line 4, in <module>',
        "    graph = make()",
        '  File "agent.py", line 3, in make',
        "    return StateGraph(dict).compile()",
        "  … through langgraph",
        "ValueError: Graph must have an entrypoint: add at least one edge from START to another node",
    ]


def test_causes_come_first(tmp_path: Path) -> None:
    code = "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise RuntimeError('no key') from error\n"
    lines = told(code, tmp_path)
    assert lines[2:4] == ["ZeroDivisionError: division by zero", "which led to:"]
    assert lines[-1] == "RuntimeError: no key"


def test_a_syntax_error_is_shown_with_its_line(tmp_path: Path) -> None:
    assert told("graph = 1 +\n", tmp_path) == [
        '  File "agent.py", line 1',
        "    graph = 1 +",
        "SyntaxError: invalid syntax",
    ]


def test_an_installed_agent_is_shown_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages"
    (package / "shop").mkdir(parents=True)
    (package / "shop" / "agent.py").write_text("import not_installed\n")
    monkeypatch.syspath_prepend(package)
    with pytest.raises(ModuleNotFoundError) as caught:
        load_object(load(tmp_path), "shop.agent:graph")
    error = caught.value.with_traceback(caught.tb.tb_next)
    assert 'shop/agent.py", line 1, in <module>' in compact(error)


def test_an_exception_that_cannot_be_told_is_told_by_its_name(tmp_path: Path) -> None:
    code = "class Odd(Exception):\n    __notes__ = property(lambda self: exit())\n    __str__ = None\nraise Odd\n"
    assert compact(raised(code, tmp_path)).endswith("Odd")


def test_of_our_own_errors_only_the_cause_in_author_code_is_told(tmp_path: Path) -> None:
    ours = LookupError("it has no graph")
    assert compact_cause(ours) is None
    ours.__cause__ = ValueError("never raised by anybody's code")
    assert compact_cause(ours) is None
    ours.__cause__ = raised("1 / 0", tmp_path)
    assert (compact_cause(ours) or "").endswith("ZeroDivisionError: division by zero")
