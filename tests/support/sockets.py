"""A client of the event protocol on a WebSocket that does what the documentation says: cut off, it comes back with
`since`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

Event = dict[str, Any]


@dataclass
class SocketFollower:
    """Reads the events of one thread, of runs present and future."""

    url: str
    thread: str
    channels: list[str]
    told: list[Event] = field(default_factory=list)
    codes: list[int | None] = field(default_factory=list)
    """How each connection ended that the server or the network did: its close code, None without one."""

    async def read(self, ends: int = 1) -> list[Event]:
        """Read to the end of so many runs."""
        url = f"ws{self.url.removeprefix('http')}/threads/{self.thread}/stream/events"
        while sum(map(ends_a_run, self.told)) < ends:
            try:
                async with connect(url, proxy=None, compression=None) as connection:
                    await self._follow(connection, ends)
            except (OSError, InvalidHandshake, ConnectionClosed) as error:
                received = error.rcvd if isinstance(error, ConnectionClosed) else None
                self.codes.append(received and received.code)
                await asyncio.sleep(0.05)  # as clients do
        return self.told

    def numbered(self) -> None:
        """Every event once, and in order."""
        assert all(one["seq"] < other["seq"] for one, other in itertools.pairwise(self.told))

    async def _follow(self, connection: ClientConnection, ends: int) -> None:
        params = {"channels": self.channels, "since": self.told[-1]["seq"] if self.told else 0}
        await connection.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": params}))
        async for text in connection:
            message = json.loads(text)
            if "method" not in message:
                assert message["type"] == "success", message
                continue
            self.told.append(message)
            if sum(map(ends_a_run, self.told)) == ends:
                return


def ends_a_run(event: Event) -> bool:
    """Whether it tells the end of a whole run."""
    params = event["params"]
    ended = event["method"] == "lifecycle" and params["data"]["event"] in ("completed", "failed", "interrupted")
    return ended and not params["namespace"]
