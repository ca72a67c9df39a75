"""What a server answered, in a form that two servers can be compared in: ids and times are taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from relayrun_core.ids import default_assistant_id

#: Headers that clients read.
_HEADERS = (
    *("content-type", "location", "content-location", "x-pagination-total", "x-pagination-next", "retry-after"),
    *(f"access-control-{name}" for name in ("allow-origin", "allow-private-network", "allow-headers", "allow-methods")),
    *("access-control-expose-headers", "access-control-max-age"),
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: Made of the graph's name: the same everywhere, and clients know them.
_ASSISTANTS = {
    str(default_assistant_id(graph)): f"<assistant {graph}>"
    for graph in json.loads((Path(__file__).parent / "agent" / "langgraph.json").read_text())["graphs"]
}
_HASH = re.compile(r"\b[0-9a-f]{32}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True)
class Exchange:
    """One request: what the scenario calls it, and what came back. `body` is JSON, or a list of events."""

    label: str
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Recorder:
    """A client of one server that remembers its answers."""

    http: httpx.AsyncClient
    exchanges: list[Exchange] = field(default_factory=list)

    async def call(
        self, label: str, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Ask, remember the answer under `label`, and return its JSON as it was."""
        answer = await self.http.request(method, path, json=body, headers=headers)
        parsed = _parsed(answer)
        self._keep(label, answer, parsed)
        return parsed

    async def stream(
        self,
        label: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        until: str | None = None,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> list[tuple[str, Any]]:
        """As `call`, for an answer of events; returns their names and data. `until`: the status with which a stream
        that has no end is left. `meanwhile` is done once the answer has begun.
        """
        text = ""
        async with self.http.stream(method, path, json=body, headers=headers) as answer:
            if meanwhile is not None:
                await meanwhile()
            async for part in answer.aiter_text():
                text += part
                if until and any(isinstance(data, dict) and data.get("status") == until for _, data in _events(text)):
                    break
        events = _events(text)
        self._keep(label, answer, [{"event": name, "data": data} for name, data in events])
        return events

    async def quietly(self, method: str, path: str, body: Any = None) -> Any:
        """Ask without remembering."""
        return _parsed(await self.http.request(method, path, json=body))

    def _keep(self, label: str, answer: httpx.Response, body: Any) -> None:
        headers = {name: _plain(answer.headers[name]) for name in _HEADERS if name in answer.headers}
        self.exchanges.append(Exchange(label, answer.status_code, headers, _plain(body)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, str):
        return value
    return _TIME.sub("<time>", _HASH.sub("<hash>", _UUID.sub(lambda found: _ASSISTANTS.get(found[0], "<id>"), value)))


def _parsed(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content.strip() else None
    except json.JSONDecodeError:
        return answer.text


def _events(text: str) -> list[tuple[str, Any]]:
    found = []
    *blocks, _unfinished = text.replace("\r\n", "\n").split("\n\n")
    for block in blocks:
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if "event" in fields:
            found.append((fields["event"], json.loads(fields.get("data") or "null")))
    return found
