"""Reads request bodies: JSON by orjson, bounded in bytes and depth, with text that Postgres can store."""

import re
from array import array
from collections.abc import Callable, Coroutine
from itertools import accumulate
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from relayrun_api.http.errors import BodyTooLarge, Invalid, UnsupportedMediaType
from relayrun_api.http.operation import Operation

MAX_BODY_BYTES = 10_000_000
# LangGraph's checkpoints (msgpack) and Postgres's jsonb take more; nobody's payload has more than a few dozen.
MAX_JSON_DEPTH = 200
# Three bytes of JSON can be a list, which takes sixty of memory: without this bound one body took 600 MB (tried).
MAX_JSON_CONTAINERS = 250_000

# Also one that is not closed, and nothing is tried twice: the time is linear whatever comes.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# Brackets as steps down and up, in array's type "b".
_OPENING, _CLOSING = b"\x01", b"\xff"
_STEPS = bytes.maketrans(b"[{]}", _OPENING * 2 + _CLOSING * 2)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class JsonRequest(Request):
    """A request whose body is at most `MAX_BODY_BYTES` of JSON that every part behind the API can store."""

    async def body(self) -> bytes:
        """The raw body. Raises BodyTooLarge, and UnsupportedMediaType for a body that is not JSON."""
        if not hasattr(self, "_body"):
            self._body = await self._bounded()
            if self._body and not _is_json(self.headers.get("content-type", "")):
                # Also what keeps foreign web pages out: a browser sends JSON to another origin only after asking.
                raise UnsupportedMediaType("Send the body with `Content-Type: application/json`.")
        return self._body

    async def json(self) -> Any:
        """The parsed body. Raises Invalid."""
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json

    async def _bounded(self) -> bytes:
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise _too_large()
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise _too_large()
            chunks.append(chunk)
        return b"".join(chunks)


class JsonRoute(APIRoute):
    """A route whose handler gets a `JsonRequest`, whose path and query carry no NUL, and whose docstring is its
    summary in the OpenAPI document.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], operation: Operation, **options: Any) -> None:
        self.operation = operation
        summary = (endpoint.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        super().__init__(path, endpoint, summary=summary, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given our request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
                raise Invalid("The URL has a NUL character: remove it.")
            return await handler(JsonRequest(request.scope, request.receive))

        return handle


def parse_json(body: bytes) -> Any:
    """Parse `body`. Raises Invalid for what is not JSON, is too deep, or has text that cannot be stored.

    Looked at are the bytes: to walk through what ten megabytes make would hold everybody up for seconds.
    """
    if body.count(b"{") + body.count(b"[") > MAX_JSON_DEPTH:
        _check_shape(body)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Lone surrogates end here too: orjson takes valid Unicode only.
        raise Invalid(f"The body is not valid JSON: {error}.") from error
    # Backslashes are found in strings only, and an even number of them before it makes it text.
    if b"\\u0000" in body and _ESCAPED_NUL.search(body):
        raise Invalid("A string has a NUL character (\\u0000), which cannot be stored: remove it.")
    return parsed


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes: send less.")


def _check_shape(body: bytes) -> None:
    steps = _STRING.sub(b"", body).translate(_STEPS, _NO_BRACKETS)
    if steps.count(_OPENING) > MAX_JSON_CONTAINERS:
        raise Invalid(f"The body's JSON has more than {MAX_JSON_CONTAINERS} lists and objects: send less.")
    if max(accumulate(array("b", steps)), default=0) > MAX_JSON_DEPTH:
        raise Invalid(f"The body's JSON is nested more than {MAX_JSON_DEPTH} deep: make it flatter.")
