"""Text from outside, before a terminal or log shows it: it must neither steer the one nor forge lines of the other."""

import re

# C0, DEL and C1 steer terminals; line and paragraph separators begin a line for some readers; marks and overrides of
# direction show text in another order than it is in; half a surrogate pair cannot be written at all.
_UNSAFE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_ANY = re.compile(f"[{_UNSAFE}]")
_BUT_LINES = re.compile(f"(?![\n\t])[{_UNSAFE}]")


def one_line(text: str) -> str:
    r"""The text on one line, with the escapes of Python in place of what is unsafe: `\n`, `\x1b`, `\u202e`."""
    return _ANY.sub(_escape, text)


def lines(text: str, indent: str = "") -> str:
    """The same, with the text's own lines and tabs; `indent` is put before each line."""
    return "\n".join(indent + line for line in _BUT_LINES.sub(_escape, text).split("\n"))


def json_text(text: str) -> str:
    """JSON that says the same and can be shown; what JSON itself escapes or has between values stays."""
    return _BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def bounded(text: str, most: int) -> str:
    """The text, or its two ends and how much is left out between them: `most` characters and one short line."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
