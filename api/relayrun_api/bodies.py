"""How request bodies are read: JSON by orjson, bounded in bytes and depth, with text that Postgres can store."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from relayrun_api.errors import BodyTooLarge, Invalid, UnsupportedMediaType

MAX_BODY_BYTES = 10_000_000
# LangGraph's checkpoints (msgpack) and Postgres's jsonb take more; nobody's payload has more than a few dozen.
MAX_JSON_DEPTH = 200


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

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        summary = (endpoint.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        super().__init__(path, endpoint, **(options | {"summary": summary, "description": ""}))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given our request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
                raise Invalid("The address has a NUL character: take it out.")
            return await handler(JsonRequest(request.scope, request.receive))

        return handle


def parse_json(body: bytes) -> Any:
    """Parse `body`. Raises Invalid for what is not JSON, is too deep, or has text that cannot be stored."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Lone surrogates end here too: orjson takes valid Unicode only.
        raise Invalid(f"The body is not valid JSON: {error}.") from error
    if body.count(b"{") + body.count(b"[") > MAX_JSON_DEPTH:
        _check_depth(parsed)
    if b"\\u0000" in body:
        _check_nul(parsed)
    return parsed


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes: send less.")


def _check_depth(parsed: Any) -> None:
    level = [parsed]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise Invalid(f"The body's JSON is nested more than {MAX_JSON_DEPTH} deep: make it flatter.")


def _check_nul(parsed: Any) -> None:
    pending = [parsed]
    while pending:
        value = pending.pop()
        if isinstance(value, str) and "\0" in value:
            raise Invalid("A string has a NUL character (\\u0000), which cannot be stored: take it out.")
        if isinstance(value, dict):
            pending.extend(value)
        pending.extend(_children(value))


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
