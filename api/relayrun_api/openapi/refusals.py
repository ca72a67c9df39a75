"""Refusals: problem details (RFC 9457), one response for each status, which operations refer to."""

from collections.abc import Mapping
from typing import Any

from relayrun_api.http.problems import Problem

#: By status: its name among the document's components, when it comes, and how one looks.
_KINDS: Mapping[int, tuple[str, str, str, str]] = {
    401: (
        "Unauthenticated",
        "The token or key is missing or invalid. `WWW-Authenticate` says what is wrong.",
        "unauthenticated",
        "Authenticate: send `Authorization: Bearer` with your token, or your key.",
    ),
    403: (
        "Forbidden",
        "You may see it, but not do this to it.",
        "forbidden",
        "The namespace ['users', 'bob'] is not yours: make your id, 'ann', its first or second label.",
    ),
    404: (
        "NotFound",
        "It does not exist, or belongs to somebody else.",
        "thread_not_found",
        "Thread refund-4711 does not exist.",
    ),
    409: (
        "Conflict",
        "The state of the thread, run or assistant does not allow it. `code` says why.",
        "thread_busy",
        "Thread refund-4711 has an unfinished run: wait for it, or cancel it.",
    ),
    408: (
        "BodyTooSlow",
        "The body did not arrive in time.",
        "body_too_slow",
        "The body stopped arriving: send the whole request again.",
    ),
    413: (
        "BodyTooLarge",
        "The body is larger than 10 MB.",
        "body_too_large",
        "The body is larger than 10000000 bytes: send less.",
    ),
    415: (
        "NotJson",
        "The body is not JSON.",
        "unsupported_media_type",
        "Send the body with `Content-Type: application/json`.",
    ),
    422: (
        "Invalid",
        "The request is invalid. `errors` says what is wrong, and where.",
        "invalid_request",
        "#/limit: Input should be less than or equal to 1000. Correct it and send the request again.",
    ),
    429: (
        "RateLimited",
        "You have started too many runs, or have too much open at once. Try again after `Retry-After` seconds.",
        "rate_limited",
        "You have started 100 runs within 3600 s: try again in 12 s.",
    ),
    502: (
        "RunnerRefused",
        "A runner's answer could not be passed on.",
        "runner_refused",
        "The runner could not read the state: look at its log.",
    ),
    503: (
        "Unavailable",
        "The database or a runner is unavailable. Try again after `Retry-After` seconds.",
        "no_runner",
        "No runner of agent default is available: try again in a moment.",
    ),
}
_MORE = {422: {"errors": [{"pointer": "#/limit", "detail": "Input should be less than or equal to 1000"}]}}
_SECONDS = {"schema": {"type": "integer"}, "description": "Seconds to wait"}
_HEADERS: Mapping[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "As RFC 6750 has it"}},
    429: {"Retry-After": _SECONDS},
    503: {"Retry-After": _SECONDS},
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "The same as `code`, as a URI"},
        "title": {"type": "string", "description": "The status in words"},
        "status": {"type": "integer", "description": "The HTTP status"},
        "detail": {"type": "string", "description": "One sentence that says what to do"},
        "code": {"type": "string", "description": "What is wrong, for programs"},
        "instance": {"type": "string", "description": "The request's id, also in `X-Request-ID`"},
        "errors": {
            "type": "array",
            "description": "Of a request that is wrong: what, and where",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def responses() -> dict[str, Any]:
    """The components that `reference` names."""
    return {name: _response(status) for status, (name, *_) in _KINDS.items()}


def reference(status: int) -> dict[str, Any]:
    """An operation's response for a status."""
    return {"$ref": f"#/components/responses/{_KINDS[status][0]}"}


def _response(status: int) -> dict[str, Any]:
    _, when, code, detail = _KINDS[status]
    example = Problem(status, code, detail, extra=_MORE.get(status)).body("5c0a9318e88845ccb3e49d059ba90cae")
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
    return {"description": when, **headers, "content": {"application/problem+json": content}}
