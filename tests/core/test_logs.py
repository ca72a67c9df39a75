"""What strangers wrote neither forges a line of a log nor steers the terminal that shows it."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from relayrun_core.logs import JsonFormatter, TextFormatter
from relayrun_core.printable import json_text, lines, one_line
from relayrun_core.storable import storable_text

FORGED = "12:00:00 INFO relayrun.api: the admin was let in"
#: Ends of lines, for whoever counts one of them as such, and what steers terminals.
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
STEERING = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x90q\x9c",
    "\x08",
    "\x7f",
    "\0",
    "\u202e",
    "\u2066",
    "\u061c",
    "\ud800",
]
HARMLESS = "Zoë said: 漢字 🙂‍↔️ naïve\u00a0%s {x} [red]"


def record(message: str, *args: Any, error: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    caught = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("relayrun.test", logging.ERROR, "test.py", 1, message, args, caught)
    made.__dict__.update(fields)
    return made


class HostileError(Exception):
    """Of an author's code, with a stranger's words."""


def raised(message: str) -> Exception:
    with pytest.raises(HostileError) as caught:
        _fail(message)
    return caught.value


def _fail(message: str) -> None:
    raise HostileError(message)


@pytest.mark.parametrize("sign", [*BREAKS, *STEERING], ids=ascii)
def test_a_text_log_keeps_one_line_for_each_record(sign: str) -> None:
    hostile = f"a{sign}{FORGED}"
    for made in (
        record(hostile),
        record("no: %s", hostile),
        record("no: %s", raised(hostile)),
        record("no", subject=hostile, **{f"key{sign}": 1}),
    ):
        said = TextFormatter().format(made)
        assert len(said.splitlines()) == 1
        assert sign not in said
        assert said.isascii()
    # Who reads it can tell what was there.
    assert one_line(sign) == sign.encode("unicode_escape", "surrogatepass").decode()


@pytest.mark.parametrize("sign", [*BREAKS, *STEERING], ids=ascii)
def test_a_traceback_keeps_its_own_lines_below_the_record(sign: str) -> None:
    said = TextFormatter().format(record("it failed", error=raised(f"a{sign}{FORGED}"), lines=f"b{sign}{FORGED}"))
    first, *below = said.splitlines()
    assert first.endswith("ERROR relayrun.test: it failed")
    assert below
    assert all(line.startswith("    ") for line in below)
    assert "    Traceback (most recent call last):" in below
    assert sign == "\n" or sign not in said


@pytest.mark.parametrize("sign", [*BREAKS, *STEERING], ids=ascii)
def test_a_json_log_is_json_and_can_be_shown(sign: str) -> None:
    hostile = f"a{sign}{FORGED}"
    said = JsonFormatter().format(record(hostile, error=raised(hostile), subject=hostile))
    assert len(said.splitlines()) == 1
    assert sign not in said
    entry = json.loads(said)
    assert entry["message"] == entry["subject"] == storable_text(hostile)
    assert FORGED in entry["traceback"]


def test_what_a_person_writes_stays_as_it_is() -> None:
    assert one_line(HARMLESS) == lines(HARMLESS) == json_text(HARMLESS) == HARMLESS
    assert HARMLESS in TextFormatter().format(record("%s", HARMLESS))
    assert lines("a\n\tb\x1b", "  ") == "  a\n  \tb\\x1b"


def test_numbers_beyond_64_bits_are_logged() -> None:
    assert json.loads(JsonFormatter().format(record("big", number=2**70)))["number"] == 2**70


def test_a_stack_is_shown_below_as_well() -> None:
    made = record("here")
    made.stack_info = f"Stack (most recent call last):\n  File {sys.argv[0]!r}"
    assert TextFormatter().format(made).splitlines()[1] == "    Stack (most recent call last):"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_what_an_exception_says_in_megabytes_is_logged_by_its_two_ends(formatter: logging.Formatter) -> None:
    error = ValueError("first" + "\x1b" * 3_000_000 + "last")
    text = formatter.format(logging.LogRecord("t", logging.INFO, "", 0, str(error), (), (ValueError, error, None)))
    assert len(text) < 500_000
    assert text.count("characters left out") == 2
    assert text.count("first") == text.count("last") == 2
