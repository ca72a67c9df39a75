"""JSON on the command line, and where it is said to be wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from relayrun_cli.arguments import read_json, read_object
from relayrun_cli.errors import UsageError


def test_json_is_read_from_the_argument_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.json").write_text('{"a": 1}', "utf-8-sig")  # as editors on Windows write it
    monkeypatch.setattr("sys.stdin", io.StringIO("[2]"))
    assert read_json("-i", "null") is None
    assert read_json("-i", f"@{tmp_path / 'in.json'}") == {"a": 1}
    assert read_json("-i", "-") == [2]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ('{"a": }', '-i is not JSON: Expecting value, line 1 column 7:\n  {"a": }\n        ^'),
        ("{'a': 1}", "JSON has double quotes around strings."),
        ("hello", "A text is JSON within double quotes"),
        ("", "-i is empty"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[" * 100_000, "-i is nested too deeply"),
        ("@nowhere.json", "-i @nowhere.json cannot be read"),
        ("file.json", "To read the file, write @file.json."),
        ("@file.json", 'file.json (-i) is not JSON: Expecting value, line 3 column 8:\n    "b": ]\n         ^'),
    ],
)  # fmt: skip
def test_wrong_json_is_refused_and_its_place_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.json").write_text('{"a": [\n  1],\n  "b": ]\n}')
    with pytest.raises(UsageError) as caught:
        read_json("-i", argument)
    assert sentence in str(caught.value)


def test_of_a_long_line_only_the_wrong_part_is_shown() -> None:
    with pytest.raises(UsageError) as caught:
        read_json("-i", "[" + "1, " * 1000 + "x" + ", 2" * 1000 + "]")
    *_, shown, caret = str(caught.value).splitlines()
    assert len(shown) < 70
    assert shown[caret.index("^")] == "x"


@pytest.mark.parametrize("argument", ["[]", "1", "null"])
def test_a_config_is_an_object(argument: str) -> None:
    with pytest.raises(UsageError, match="--config is not a JSON object"):
        read_object("--config", argument)
