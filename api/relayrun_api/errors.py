"""The API's exceptions, each with its HTTP face."""

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "ApiError",
    "AssistantNotFound",
    "BodyTooLarge",
    "Conflict",
    "Invalid",
    "NotFound",
    "RunNotFound",
    "RunnerRefused",
    "RunnersAway",
    "ThreadBusy",
    "ThreadInterrupted",
    "ThreadNotFound",
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


class Conflict(ApiError):
    """The request does not fit the state that the thread or run is in."""

    status = 409
    code = "conflict"


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


class BodyTooLarge(ApiError):
    """The body is larger than the limit."""

    status = 413
    code = "body_too_large"


class UnsupportedMediaType(ApiError):
    """The body is not JSON."""

    status = 415
    code = "unsupported_media_type"


class RunnersAway(ApiError):
    """The request needs a compiled graph and no runner that has it is up."""

    status = 503
    code = "no_runner"


class RunnerRefused(ApiError):
    """A runner answered something the API cannot pass on."""

    status = 502
    code = "runner_refused"
