"""What `relayrun dev` shows a person: the banner, and lines among the logs."""

from __future__ import annotations

import os
import sys
import webbrowser
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from relayrun_cli.output import plain


class Screen:
    """Standard error, beside the parts' logs. Standard output stays free for what is meant to be piped."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    def say(self, sentence: str) -> None:
        """A line about what is going on."""
        self.console.print(f"[bold cyan]relayrun[/] {escape(plain(sentence))}", soft_wrap=True)

    def warn(self, sentence: str) -> None:
        """A line that must not be overlooked."""
        self.console.print(f"[bold yellow]relayrun  {escape(plain(sentence))}[/]", soft_wrap=True)

    def banner(self, rows: dict[str, str]) -> None:
        """The addresses, once everything answers."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        # Folded, not cropped: an address must stay whole.
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(name, escape(value))
        self.console.print(Panel(table, title="Relayrun", border_style="cyan", expand=False))


def studio_address(studio_url: str, api_url: str) -> str:
    """LangSmith Studio, looking at our API."""
    return f"{studio_url.rstrip('/')}/studio/?baseUrl={quote(api_url, safe=':/')}"


def can_show_browser() -> bool:
    """Whether a person sits at this machine: a terminal, and a display to open a browser on."""
    if not sys.stderr.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_browser(address: str) -> None:
    """Best effort: the address is in the banner anyway."""
    webbrowser.open(address)
