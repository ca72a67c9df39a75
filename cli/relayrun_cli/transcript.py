"""Shows a run's events to people: messages token by token, and one line for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console

from relayrun_cli.events import Event
from relayrun_cli.output import compact, plain, shortened
from relayrun_core.printable import one_line


class Transcript:
    """Writes events down as they come. Tokens of one message stand on one line, everything else has its own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: str | None = None  # the message whose tokens the last line has
        self._told: set[str] = set()
        self._handlers: dict[str, Callable[[Any, str], None]] = {
            "metadata": self._metadata,
            "messages": self._message,
            "updates": self._updates,
            "error": self._error,
            "end": self._end,
        }

    def write(self, event: Event) -> None:
        """Write one event."""
        mode, _, path = event.name.partition("|")
        handler = self._handlers.get(mode)
        if handler is None:
            self._line(mode, compact(event.data), path)
        else:
            handler(event.data, path)

    def break_line(self) -> None:
        """End an unfinished line."""
        if self._open is not None:
            self._open = None
            self._console.print()

    def _metadata(self, data: Any, _path: str) -> None:
        if data.get("attempt", 1) > 1:
            self._line("relayrun", f"attempt {data['attempt']}: the run goes on", style="yellow")

    def _error(self, data: Any, _path: str) -> None:
        self._line("error", f"{data.get('error')}: {data.get('message')}", style="red")

    def _end(self, data: Any, _path: str) -> None:
        self._line("end", str(data.get("status")), style="dim")

    def _message(self, data: Any, path: str) -> None:
        message, about = data
        name = about.get("langgraph_node") or "?"
        if message.get("type") == "AIMessageChunk":
            self._token(message, name, path)
        else:
            self._whole(message, name, path)

    def _token(self, message: dict[str, Any], name: str, path: str) -> None:
        text, identity = text_of(message.get("content")), str(message.get("id"))
        if not text:
            return
        if self._open != identity:
            self.break_line()
            self._label(name, path)
            self._open = identity
            self._told.add(identity)
        self._console.print(plain(text), end="")

    def _updates(self, data: Any, path: str) -> None:
        if (data.get("__metadata__") or {}).get("cached"):
            # Its siblings' step goes on after a failure: this one is not done again.
            kept = [name for name in data if not name.startswith("__")]
            self._line(", ".join(kept), "(done before)", path, style="dim")
            return
        for name, values in data.items():
            if name == "__interrupt__":
                for asked in values or ():
                    self._line("question", compact(asked.get("value")), path, style="yellow")
            elif name == "__metadata__":
                continue
            elif isinstance(values, dict) and isinstance(values.get("messages"), list):
                for message in values["messages"]:
                    self._whole(message, name, path)
                if rest := {key: value for key, value in values.items() if key != "messages"}:
                    self._line(name, shortened(compact(rest)), path)
            else:
                self._line(name, shortened(compact(values)), path)

    def _whole(self, message: Any, name: str, path: str) -> None:
        if not isinstance(message, dict):
            self._line(name, shortened(compact(message)), path)
            return
        # Also told token by token, or by another stream mode.
        identity = message.get("id")
        known = identity in self._told
        if isinstance(identity, str):
            self._told.add(identity)
        kind, text = message.get("type"), text_of(message.get("content"))
        if text and not known:
            self._line(f"{name} ({message.get('name') or kind})" if kind == "tool" else name, text, path)
        for call in message.get("tool_calls") or ():
            if f"call {call.get('id')}" not in self._told:
                self._told.add(f"call {call.get('id')}")
                self._line(name, f"calls {call.get('name')}({compact(call.get('args'))})", path)

    def _line(self, name: str, text: str, path: str = "", style: str = "bold") -> None:
        self.break_line()
        self._label(name, path, style)
        self._console.print(plain(text))

    def _label(self, name: str, path: str, style: str = "bold") -> None:
        # A subgraph's path is `node:task|node:task`; a person knows the nodes.
        nodes = [part.partition(":")[0] for part in path.split("|") if part]
        self._console.print(one_line("/".join([*nodes, name])), style=style, end="  ")


def text_of(content: Any) -> str:
    """The text of a message's content, which may be a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [block if isinstance(block, str) else block.get("text") for block in blocks if block]
    return "".join(text for text in texts if isinstance(text, str))
