"""What the verbs print: colours for a person at a terminal, plain text into a pipe, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.style import Style
from rich.text import Text

from relayrun_core.printable import json_text, one_line

_STYLES = {"error": "red", "timeout": "red", "success": "green", "interrupted": "yellow", "running": "cyan"}


class SafeConsole(Console):
    """Agents repeat what strangers wrote: nothing that is printed steers the terminal."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich does it."""
        super().print(*(plain(thing) if isinstance(thing, str) else thing for thing in objects), **how)


def stdout() -> Console:
    """For what was asked for. Lines are never folded nor cropped: ids are there to be copied, and to be piped."""
    return SafeConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)


def stderr() -> Console:
    """For what is said about it."""
    return SafeConsole(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=True)


def print_json(value: Any, *, as_json: bool) -> None:
    """A value: over several lines in colours on a terminal, else on one line."""
    console = stdout()
    if console.is_terminal and not as_json:
        shown = json_text(json.dumps(value, ensure_ascii=False, indent=2))
        console.print(JSONHighlighter()(Text(shown, no_wrap=True)))
    else:
        print(compact(value), flush=True)


def print_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns under a header. A status has its colour."""
    console = stdout()
    table = [list(header), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, line in enumerate(table):
        for at, (cell, width) in enumerate(zip(line, widths, strict=True)):
            style = "bold" if number == 0 else _STYLES.get(cell, "")
            last = at == len(line) - 1
            console.print(cell if last else cell.ljust(width), style=Style.parse(style), end="" if last else "  ")
        console.print()


def compact(value: Any) -> str:
    """JSON on one line."""
    return json_text(json.dumps(value, ensure_ascii=False))


def shortened(text: str, characters: int = 200) -> str:
    """The text, or its beginning."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def plain(text: str) -> str:
    """Text that cannot steer a terminal: agents repeat what strangers wrote."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def age(since: str | None, now: datetime | None = None) -> str:
    """How long ago an ISO time was: `4s`, `12m`, `3h`, `2d`; empty for None."""
    if since is None:
        return ""
    seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"
