"""Answers that are not streams: JSON by orjson, raw JSON bytes, problems."""

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relayrun_api.http.problems import Problem, problem_of
from relayrun_core import storable

# Our own dumps, because LangGraph's clients expect `+00:00` and not `Z`, which is orjson's default.
_OPTIONS = orjson.OPT_NON_STR_KEYS


def dumps(content: Any) -> bytes:
    """JSON of `content`; datetimes as ISO 8601 with an offset, UUIDs as text."""
    return storable.dumps(content, _in_words, _OPTIONS)


def _in_words(value: Any) -> Any:
    # An answer comes here when orjson cannot write all of it, for a number beyond 64 bits for example.
    return vars(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def loads(text: bytes) -> Any:
    """The value of an agent's JSON, whatever it holds: lone surrogates become U+FFFD, NaN and infinity null."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return orjson.loads(storable.dumps(json.loads(text, parse_constant=lambda _: None)))


class Json(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body; bytes are JSON already."""
        return content if isinstance(content, bytes) else dumps(content)


def problem_response(problem: Problem, request_id: str | None) -> Response:
    """`problem` as `application/problem+json`."""
    body = dumps(problem.body(request_id))
    return Response(body, problem.status, problem.headers, media_type="application/problem+json")


async def on_error(request: Request, error: Exception) -> Response:
    """The exception handler for everything that has an HTTP face of its own."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error.headers = {"Allow": ", ".join(sorted(_methods_of(request)))}
    return problem_response(problem_of(error), request.scope["state"].get("request_id"))


def _methods_of(request: Request) -> set[str]:
    """All methods of the path; the router knows those of the first route that has it."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    return {method for route in routes if route.path_regex.match(request.url.path) for method in route.methods or ()}


def run_location(thread_id: UUID, run_id: UUID) -> str:
    """The path of a run."""
    return f"/threads/{thread_id}/runs/{run_id}"


def run_headers(thread_id: UUID, run_id: UUID, follow: str | None = None) -> Mapping[str, str]:
    """`Content-Location` with the run's ids, and where to go on reading, if that is a stream or a wait."""
    location = run_location(thread_id, run_id)
    headers = {"Content-Location": location}
    if follow is not None:
        headers["Location"] = f"{location}/{follow}"
    return headers
