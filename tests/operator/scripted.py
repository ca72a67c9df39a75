"""A runner that answers as its test says: a real server on a real socket that speaks the protocol, and runs nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel

from relayrun_core.runner_protocol import Accepted, Line
from relayrun_operator.local.processes import SupervisedProcess
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.loop.client import RunnerClient
from tests.support.streams import serving_streams

TOKEN = "a token of the tests"


Answer = BaseModel | tuple[int, Any] | None
SILENCE: Answer = (0, None)
ACCEPTED: Answer = (202, None)


class ScriptedRunner:
    """`answers` are given in their order, the last one for ever: None drops the connection, SILENCE says nothing.

    ACCEPTED takes whatever attempt is named.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = [ACCEPTED]
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.connections = 0
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ScriptedRunner]:
        async with serving_streams(self._serve) as self.port:
            yield self

    def say(self, line: Line | dict[str, Any]) -> None:
        """A line of the watch stream."""
        text = json.dumps(line) if isinstance(line, dict) else line.model_dump_json()
        self.lines.put_nowait(text.encode() + b"\n")

    def break_stream(self) -> None:
        self.lines.put_nowait(b"")

    def as_runner(self, name: str = "r1", **fields: Any) -> LocalRunner:
        """What the world remembers of it, ready to take runs."""
        known = {"agent": "default", "generation": 0, "slots": 4, "started_at": 0.0, "last_heard": 1e12}
        known |= {"holder": f"holder-{name}", "ready": True, "process": cast("SupervisedProcess", None)}
        return LocalRunner(name=name, client=RunnerClient("127.0.0.1", self.port, TOKEN), **known | fields)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                assert f"Authorization: Bearer {TOKEN}" in head
                method, target, _ = head.split(" ", 2)
                _, _, rest = head.lower().partition("content-length:")
                length = int(rest.split("\r\n")[0] or 0)
                body = json.loads(await reader.readexactly(length) or "{}")
                if target.startswith("/runs?watch"):
                    await self._stream(writer)
                    return
                if not await self._answer(writer, method, target, body):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, method: str, target: str, body: dict[str, Any]) -> bool:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.calls.append((method, parts.path.removeprefix("/runs/"), body | query))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            return False
        if answer is SILENCE:
            await asyncio.Event().wait()
        if answer is ACCEPTED:
            attempt = int((body | query).get("attempt", 1))
            answer = Accepted(run_id=parts.path.removeprefix("/runs/"), attempt=attempt)
        if isinstance(answer, BaseModel):
            status, content = getattr(answer, "http_status", 200), answer.model_dump_json().encode()
        else:
            status, content = answer[0], json.dumps(answer[1]).encode()
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        return True

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while line := await self.lines.get():
            for part in (line[:7], line[7:]):  # a line may come in pieces
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                await writer.drain()
