"""The API's exceptions, each with its HTTP status and code."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

__all__ = [
    "ApiError",
    "AssistantExists",
    "AssistantNotFound",
    "AuthFailed",
    "BadRequest",
    "BodyTooLarge",
    "BodyTooSlow",
    "Conflict",
    "CronNotFound",
    "Forbidden",
    "IdempotencyKeyReused",
    "Invalid",
    "IssuerAway",
    "NoAssistantId",
    "NoGraph",
    "NoThreadId",
    "NotFound",
    "RateLimited",
    "RefusedByAuthor",
    "RunNotFound",
    "RunnerLost",
    "RunnerRefused",
    "RunnersAway",
    "SearchTooSlow",
    "ThreadBusy",
    "ThreadInterrupted",
    "ThreadNotFound",
    "TooManyAtOnce",
    "TooManyCrons",
    "TooSlow",
    "Unauthenticated",
    "UnsupportedMediaType",
]


_LONGEST_DETAIL = 2000
_AUTHORS_CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 429: "rate_limited"}
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_VALUE = re.compile(r"[\t\x20-\x7e]{0,1024}")
_OURS = frozenset(("content-length", "content-type", "transfer-encoding", "connection", "x-request-id"))


class ApiError(Exception):
    """The root: `detail` is one sentence that says what to do; `extra` members join the problem's body."""

    status: int = 500
    code: str = "internal_error"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


class Unauthenticated(ApiError):
    """The caller does not say who it is, or cannot prove it; `error` says why, in the words of RFC 6750."""

    status = 401
    code = "unauthenticated"

    def __init__(self, detail: str, *, error: str | None = None) -> None:
        challenge = 'Bearer realm="relayrun"'
        if error is not None:
            challenge += f', error="invalid_token", error_description="{error}"'
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class Forbidden(ApiError):
    """The caller sees the thing and may not do this to it."""

    status = 403
    code = "forbidden"


class AuthFailed(ApiError):
    """An author's own authentication or authorization failed, so that nobody is let in."""

    status = 500
    code = "auth_failed"


class RefusedByAuthor(ApiError):
    """What an author's own authentication or authorization refuses, in its words."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail[:_LONGEST_DETAIL] or HTTPStatus(status).phrase, headers=_sendable(headers))
        self.status = status
        self.code = _AUTHORS_CODES.get(status, f"http_{status}")
        if status == 401:
            self.headers.setdefault("WWW-Authenticate", 'Bearer realm="relayrun"')


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Without what the server says itself, and what would be something else on the wire."""
    return {
        "-".join(part.capitalize() for part in name.lower().split("-")): value
        for name, value in headers.items()
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value) and name.lower() not in _OURS
    }


class NotFound(ApiError):
    """The thing does not exist, or is somebody else's."""

    status = 404
    code = "not_found"


class ThreadNotFound(NotFound):
    """No such thread."""

    code = "thread_not_found"


class NoThreadId(ThreadNotFound):
    """What is neither a UUID nor the caller's name for a thread. `status`: as the Agent Server answers it there."""

    def __init__(self, sent: str, status: int = 422) -> None:
        super().__init__(f"Thread {sent!r} not found: its id must be a UUID, or a name that you gave to a thread.")
        self.status = status


class RunNotFound(NotFound):
    """No such run."""

    code = "run_not_found"


class KeyNotFound(NotFound):
    """No such API key."""

    code = "key_not_found"


class AssistantNotFound(NotFound):
    """No such assistant."""

    code = "assistant_not_found"


class NoAssistantId(AssistantNotFound):
    """What is neither a UUID nor a graph's name."""

    status = 422


class CronNotFound(NotFound):
    """No such cron."""

    code = "cron_not_found"


class Conflict(ApiError):
    """The request does not fit the state that the thread or run is in."""

    status = 409
    code = "conflict"


class AssistantExists(Conflict):
    """There is an assistant with this id."""

    code = "assistant_exists"


class TooManyCrons(Conflict):
    """The owner has as many crons as it may."""

    code = "too_many_crons"


class ThreadBusy(Conflict):
    """The thread has an unfinished run."""

    code = "thread_busy"


class ThreadInterrupted(Conflict):
    """New input for a thread that waits for an answer."""

    code = "thread_interrupted"


class BadRequest(ApiError):
    """What the LangGraph Agent Server answers 400."""

    status = 400
    code = "bad_request"


class Invalid(ApiError):
    """The request is understood and cannot be right; `errors` may say where."""

    status = 422
    code = "invalid_request"


class NoGraph(Invalid):
    """What is neither an assistant's id nor a graph's name, in a run's body."""


class IdempotencyKeyReused(Invalid):
    """An idempotency key that stands for another request."""

    code = "idempotency_key_reused"


class RateLimited(ApiError):
    """The caller has started as many runs as it may."""

    status = 429
    code = "rate_limited"


class TooManyAtOnce(ApiError):
    """The caller has as many of something at once as it may."""

    status = 429
    code = "too_many_at_once"


class BodyTooLarge(ApiError):
    """The body is larger than the limit."""

    status = 413
    code = "body_too_large"


class BodyTooSlow(ApiError):
    """The body does not come."""

    status = 408
    code = "body_too_slow"


class UnsupportedMediaType(ApiError):
    """The body is not JSON."""

    status = 415
    code = "unsupported_media_type"


class IssuerAway(ApiError):
    """The token issuer's keys are not known yet and it does not answer."""

    status = 503
    code = "issuer_away"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


class RunnersAway(ApiError):
    """The request needs a compiled graph and no runner that has it is up."""

    status = 503
    code = "no_runner"


class RunnerRefused(ApiError):
    """A runner answered something the API cannot pass on."""

    status = 502
    code = "runner_refused"


class RunnerLost(ApiError):
    """A runner went while it answered: what was asked for may have been done."""

    status = 502
    code = "runner_lost"


class SearchTooSlow(ApiError):
    """The database took longer for a search, a count or a list than it may."""

    status = 503
    code = "search_too_slow"

    def __init__(self, _: str = "") -> None:
        detail = "The database took too long for this: ask for less, or with fewer conditions, or later."
        super().__init__(detail, headers={"Retry-After": "10"})


class TooSlow(ApiError):
    """An agent's own code did not answer in time."""

    status = 504
    code = "too_slow"
