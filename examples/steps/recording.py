"""Records a command in a terminal as an animated SVG, as the one of `make demo` in the README.

    .venv/bin/python -m examples.steps.recording docs/images/demo.svg make demo

The command runs in a pseudo-terminal; each line appears in the picture when it was printed. Pauses longer than
`LONGEST_PAUSE` seconds are cut. The picture needs no script and no font of its own, so a page may show it with `<img>`.
A reader who asks for less motion sees the end.
"""

import os
import pty
import sys
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.text import Text

COLUMNS, ROWS = 96, 26
CHAR_WIDTH, LINE_HEIGHT, MARGIN = 8.4, 20, 16
LONGEST_PAUSE = 1.2
REST = 5.0
FOREGROUND = "#e6edf3"
# ANSI's eight colors by number.
COLORS = ("#484f58", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", FOREGROUND)


@dataclass(frozen=True)
class Line:
    """A line of output, with its ANSI colors, and when it came."""

    seconds: float
    text: str


def record(command: list[str]) -> list[Line]:
    """Runs `command` in a pseudo-terminal and returns what it printed, line by line.

    Raises `SystemExit` with the command's exit code when that is not 0.
    """
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"COLUMNS": str(COLUMNS), "LINES": "500", "TERM": "xterm-256color"}
        os.execvp(command[0], command)
    lines: list[Line] = []
    seconds, last, rest = 0.0, time.monotonic(), b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # Linux answers EIO when the other end is closed.
            break
        if not read:
            break
        now = time.monotonic()
        seconds, last = seconds + min(now - last, LONGEST_PAUSE), now
        *whole, rest = (rest + read).split(b"\n")
        lines += [Line(seconds, line.decode(errors="replace").rstrip("\r")) for line in whole]
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code != 0:
        raise SystemExit(code)
    return lines


def draw(command: list[str], lines: list[Line]) -> str:
    """The SVG document."""
    first = Line(0.0, f"\x1b[32m$\x1b[0m \x1b[1m{' '.join(command)}\x1b[0m")
    shown = [first, *lines]
    whole = shown[-1].seconds + REST
    width, height = COLUMNS * CHAR_WIDTH + 2 * MARGIN, ROWS * LINE_HEIGHT + 2 * MARGIN
    rules = [
        f"text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:{FOREGROUND};white-space:pre}}"
    ]
    rules += [f".c{number}{{fill:{color}}}" for number, color in enumerate(COLORS)]
    rules += [".bold{font-weight:bold}", ".dim{opacity:.65}"]
    moments = sorted({line.seconds for line in shown if line.seconds > 0})
    animated = []
    for number, moment in enumerate(moments):
        percent = 100 * moment / whole
        animated.append(
            f"@keyframes a{number}{{0%,{percent:.2f}%{{opacity:0}}{percent + 0.01:.2f}%,100%{{opacity:1}}}}"
        )
        animated.append(f".a{number}{{animation:a{number} {whole:.1f}s linear infinite}}")
    scrolls = ["0%{transform:translateY(0)}"]
    for index, line in enumerate(shown):
        if (hidden := index + 1 - ROWS) > 0:
            percent = 100 * line.seconds / whole
            scrolls.append(f"{percent:.2f}%{{transform:translateY({-hidden * LINE_HEIGHT}px)}}")
    hidden = max(0, len(shown) - ROWS)
    scrolls.append(f"100%{{transform:translateY({-hidden * LINE_HEIGHT}px)}}")
    animated.append(f"@keyframes scroll{{{''.join(scrolls)}}}")
    animated.append(f"#lines{{animation:scroll {whole:.1f}s step-end infinite}}")
    rules.append(f"#lines{{transform:translateY({-hidden * LINE_HEIGHT}px)}}")
    rules.append(f"@media (prefers-reduced-motion:no-preference){{{''.join(animated)}}}")
    rows = [
        f'<text y="{(index + 1) * LINE_HEIGHT}"'
        + (f' class="a{moments.index(line.seconds)}"' if line.seconds > 0 else "")
        + f">{spans(line.text)}</text>"
        for index, line in enumerate(shown)
    ]
    label = escape(f"A terminal that runs {' '.join(command)}", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" aria-label="{label}">'
        f"<style>{''.join(rules)}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>'
        f'<svg x="{MARGIN}" y="{MARGIN - 5}" width="{width - 2 * MARGIN:.0f}" height="{ROWS * LINE_HEIGHT + 5}">'
        f'<g id="lines">{"".join(rows)}</g></svg></svg>\n'
    )


def spans(line: str) -> str:
    """One line's text as SVG, its ANSI colors as classes."""
    text = Text.from_ansi(line)
    cells = []
    for part in text.divide(sorted({end for span in text.spans for end in (span.start, span.end)})):
        classes = set()
        for span in part.spans:
            style = span.style
            if isinstance(style, str):
                continue
            if style.color is not None and style.color.number is not None:
                classes.add(f"c{style.color.number % 8}")
            classes |= {name for name in ("bold", "dim") if getattr(style, name)}
        content = escape(part.plain)
        cells.append(f'<tspan class="{" ".join(sorted(classes))}">{content}</tspan>' if classes else content)
    return "".join(cells)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(f"usage: {sys.orig_argv[0]} -m examples.steps.recording FILE.svg COMMAND…")
    Path(sys.argv[1]).write_text(draw(sys.argv[2:], record(sys.argv[2:])))
