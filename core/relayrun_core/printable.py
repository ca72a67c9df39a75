"""Makes text from outside safe to show, so that it can neither control a terminal nor forge lines of a log."""

import re

# C0, DEL and C1 steer terminals; line and paragraph separators begin a line for some readers; marks and overrides of
# direction show text in another order than it is in; half a surrogate pair cannot be written at all.
_UNSAFE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_ANY = re.compile(f"[{_UNSAFE}]")
_BUT_LINES = re.compile(f"(?![\n\t])[{_UNSAFE}]")


def one_line(text: str) -> str:
    r"""Return the text on one line, with Python escapes in place of unsafe characters: `\n`, `\x1b`, `\u202e`."""
    return _ANY.sub(_escape, text)


def lines(text: str, indent: str = "") -> str:
    """Escape unsafe characters, but keep lines and tabs. Puts `indent` before each line."""
    return "\n".join(indent + line for line in _BUT_LINES.sub(_escape, text).split("\n"))


def json_text(text: str) -> str:
    """Escape unsafe characters in JSON text, which stays the same JSON."""
    return _BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def bounded(text: str, most: int) -> str:
    """Shorten the text to its two ends, `most` characters in all, and a line between that says how much is left out."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
