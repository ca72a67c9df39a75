"""A small debugger: a client of the Debug Adapter Protocol, as an editor is one."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self


class Debugger:
    """One connection. Answers and events are matched as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._messages: list[dict[str, Any]] = []

    @classmethod
    @asynccontextmanager
    async def attached(cls, port: int, file: str, line: int) -> AsyncIterator[Self]:
        """Attach to what listens on the port, with one breakpoint set; detach at the end."""
        debugger = cls(*await listens(port))
        try:
            await debugger.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True)
            attach = debugger.send("attach", justMyCode=True)
            await debugger.event("initialized")
            await debugger.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": line}])
            await debugger.ask("configurationDone")
            await debugger.answer(attach)
            yield debugger
            await debugger.ask("disconnect", terminateDebuggee=False)
        finally:
            debugger._writer.close()
            await debugger._writer.wait_closed()

    async def stopped(self) -> dict[str, Any]:
        """Wait for a breakpoint; the thread and its innermost frame."""
        thread = (await self.event("stopped"))["threadId"]
        frames = (await self.ask("stackTrace", threadId=thread))["stackFrames"]
        return {"threadId": thread, "frameId": frames[0]["id"], "line": frames[0]["line"]}

    def send(self, command: str, **arguments: Any) -> int:
        number = next(self._numbers)
        message = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return number

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return await self.answer(self.send(command, **arguments))

    async def answer(self, number: int) -> dict[str, Any]:
        message = await self._next("response", "request_seq", number)
        assert message["success"], message
        return dict(message.get("body") or {})

    async def event(self, name: str) -> dict[str, Any]:
        return dict((await self._next("event", "event", name)).get("body") or {})

    async def _next(self, kind: str, key: str, value: Any) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                for message in self._messages:
                    if message["type"] == kind and message[key] == value:
                        self._messages.remove(message)
                        return message
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self._messages.append(json.loads(await self._reader.readexactly(length)))


async def listens(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as soon as something listens."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
