"""The protocol's own server: whoever connects and says nothing, or not all, is not waited for."""

import asyncio

import httpx
from starlette.types import Receive, Scope, Send

from relayrun_runner.http.server import ProtocolThread, bind


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while scope["type"] == "http" and (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"%d" % len(body)})
            return


async def test_whoever_says_nothing_is_not_waited_for() -> None:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    thread = ProtocolThread(app, listener, asyncio.Event().wait, slow_seconds=1.0)
    thread.start()
    try:
        sent = (b"", b"GET /healthz HTTP/1.1\r\n", b"PUT /runs/1 HTTP/1.1\r\nHost: r\r\nContent-Length: 10\r\n\r\n{")
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in sent]
        for begun, (_, writer) in zip(sent, pairs, strict=True):
            writer.write(begun)
        async with asyncio.timeout(60), httpx.AsyncClient(timeout=60) as client:
            assert (await client.put(f"http://127.0.0.1:{port}/", content=b"x" * 1000)).text == "1000"
            assert [await reader.read() for reader, _ in pairs] == [b"", b"", b""]
        for _, writer in pairs:
            writer.close()
    finally:
        await asyncio.to_thread(thread.stop)
