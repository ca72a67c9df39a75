"""The API's exceptions, each with its HTTP face."""

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "ApiError",
    "AssistantExists",
    "AssistantNotFound",
    "BodyTooLarge",
    "Conflict",
    "CronNotFound",
    "Forbidden",
    "IdempotencyKeyReused",
    "Invalid",
    "IssuerAway",
    "NotFound",
    "RateLimited",
    "RunNotFound",
    "RunnerRefused",
    "RunnersAway",
    "ThreadBusy",
    "ThreadInterrupted",
    "ThreadNotFound",
    "TooManyCrons",
    "Unauthenticated",
    "UnsupportedMediaType",
]


class ApiError(Exception):
    """The root: `detail` is one sentence that says what to do; `extra` members join the problem's body."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

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


class NotFound(ApiError):
    """The thing does not exist, or is somebody else's."""

    status = 404
    code = "not_found"


class ThreadNotFound(NotFound):
    """No such thread."""

    code = "thread_not_found"


class RunNotFound(NotFound):
    """No such run."""

    code = "run_not_found"


class AssistantNotFound(NotFound):
    """No such assistant."""

    code = "assistant_not_found"


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


class Invalid(ApiError):
    """The request is understood and cannot be right; `errors` may say where."""

    status = 422
    code = "invalid_request"


class IdempotencyKeyReused(Invalid):
    """An idempotency key that stands for another request."""

    code = "idempotency_key_reused"


class RateLimited(ApiError):
    """The caller has started as many runs as it may."""

    status = 429
    code = "rate_limited"


class BodyTooLarge(ApiError):
    """The body is larger than the limit."""

    status = 413
    code = "body_too_large"


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
