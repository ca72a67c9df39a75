"""JSON on the command line: written there, in a file (`@file`) or on standard input (`-`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from relayrun_cli.errors import UsageError

_SHOWN_CHARACTERS = 60


def read_json(option: str, argument: str) -> Any:
    """The value that an option's argument gives. Raises UsageError, which says where the JSON is wrong."""
    source, text = _text(option, argument)
    if not text.strip():
        raise UsageError(f"{source} is empty: write JSON, for example {option} '{{}}'.")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise UsageError(f"{source} is not JSON: {_where(error)}{_hint(argument)}") from None
    except RecursionError:
        raise UsageError(f"{source} is nested too deeply.") from None
    except ValueError as error:
        raise UsageError(f"{source} is not JSON: {error}.") from None


def read_object(option: str, argument: str) -> dict[str, Any]:
    """As `read_json`, for what has to be a JSON object."""
    value = read_json(option, argument)
    if not isinstance(value, dict):
        raise UsageError(f'{option} is not a JSON object: write {option} \'{{"key": "value"}}\'.')
    return value


def _text(option: str, argument: str) -> tuple[str, str]:
    try:
        if argument == "-":
            return f"Standard input ({option} -)", sys.stdin.read()
        if argument.startswith("@"):
            return f"{argument[1:]} ({option})", Path(argument[1:]).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} {argument} cannot be read: {error}.") from error
    return option, argument


def _where(error: json.JSONDecodeError) -> str:
    lines = error.doc.splitlines() or [""]
    line = lines[min(error.lineno, len(lines)) - 1]
    at = error.colno - 1
    begin = max(0, at - _SHOWN_CHARACTERS // 2)
    shown = line[begin : begin + _SHOWN_CHARACTERS]
    return f"{error.msg}, line {error.lineno} column {error.colno}:\n  {shown}\n  {' ' * (at - begin)}^"


def _hint(argument: str) -> str:
    if argument != "-" and _is_file(argument):
        return f"\nTo read the file, write @{argument}."
    if "{'" in argument:
        return "\nJSON has double quotes around strings."
    return "\nA text is JSON within double quotes; @FILE reads a file, - standard input." if argument.isalnum() else ""


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
