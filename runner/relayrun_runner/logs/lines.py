"""Lines out of what is written in parts."""

import re
from typing import Any

#: Of one line, in characters.
MOST_CHARACTERS = 8000
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
# Lines without an end of so many writers are kept apart.
_MOST_WRITERS = 256


class Lines:
    """Puts lines together, of each writer by itself."""

    def __init__(self) -> None:
        self._begun: dict[Any, tuple[str, int]] = {}  # a line's beginning, and how much of it was left out

    def feed(self, writer: Any, text: str) -> list[str]:
        """The lines that this ends."""
        begun, left_out = self._begun.pop(writer, ("", 0))
        first, *others = text.split("\n")
        if others:
            done = [_line(begun + first, left_out), *(_line(other) for other in others[:-1])]
            rest, left_out = others[-1], 0
        else:
            done, rest = [], begun + first
        if rest:
            # Of a line that is written over and over, as a bar of progress is, only the last counts.
            rest = rest[:-1].rpartition("\r")[2] + rest[-1:]
            if len(self._begun) >= _MOST_WRITERS:
                self._begun.clear()
            self._begun[writer] = rest[:MOST_CHARACTERS], left_out + max(0, len(rest) - MOST_CHARACTERS)
        return done

    def rest(self) -> list[tuple[Any, str]]:
        """The lines that have no end, with their writers; afterwards there are none."""
        begun, self._begun = self._begun, {}
        return [(writer, _line(*rest)) for writer, rest in begun.items()]


def shortened(text: str, left_out: int = 0) -> str:
    """The text without colours, cut where it is too long; `left_out`: characters that it lacks already."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text[: 4 * MOST_CHARACTERS]) + text[4 * MOST_CHARACTERS :]
    if len(text) > MOST_CHARACTERS:
        left_out += len(text) - MOST_CHARACTERS
        text = text[:MOST_CHARACTERS]
    return f"{text} … {left_out:,} characters left out" if left_out else text


def _line(text: str, left_out: int = 0) -> str:
    return shortened(text.removesuffix("\r").rpartition("\r")[2], left_out)
