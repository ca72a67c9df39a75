"""Converts any exception to problem details (RFC 9457): a superset of `{"detail": …}`, which LangGraph's SDKs read."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from relayrun_api.http.errors import ApiError, Invalid, SearchTooSlow
from relayrun_core import errors as core
from relayrun_core.database import is_transient

__all__ = ["Problem", "problem_of"]


class Problem:
    """An answer in the form of RFC 9457: `body()` is the JSON object, without `instance`."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.setdefault("Retry-After", "1")
        self.extra = dict(extra or {})

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """The JSON object; `request_id` becomes `instance`."""
        body: dict[str, Any] = {
            "type": f"urn:relayrun:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }
        if request_id is not None:
            body["instance"] = request_id
        return body


_OF_CORE: dict[type[core.RelayrunError], tuple[int, str]] = {
    core.ThreadNotFound: (404, "thread_not_found"),
    core.ThreadExists: (409, "thread_exists"),
    core.ThreadBusyError: (409, "thread_busy"),
    core.ThreadInterrupted: (409, "thread_interrupted"),
    core.ResumeConflict: (409, "resume_conflict"),
    core.MetadataTooLarge: (422, Invalid.code),
    core.RunNotFound: (404, "run_not_found"),
    core.RunFinished: (409, "run_finished"),
    core.SchemaTooOld: (503, "schema_too_old"),
}

_LONGEST_SHOWN = 100
_JSON_TYPES = {"string_type": "string", "list_type": "array", "bool_type": "boolean", "int_type": "integer"}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 401: "unauthenticated"}


def problem_of(error: Exception) -> Problem:
    """What a client is told about `error`. What is not known is a 500 that names nothing."""
    match error:
        case ApiError():
            return Problem(error.status, error.code, error.detail, error.headers, error.extra)
        case RequestValidationError():
            return _of_validation(error)
        case HTTPException():
            return _of_http(error)
        case core.RelayrunError() if type(error) in _OF_CORE:
            status, code = _OF_CORE[type(error)]
            return Problem(status, code, _sentence(str(error)), extra=getattr(error, "extra", None))
        case psycopg.DataError():
            return Problem(422, "invalid_text", "The request has a value that Postgres cannot store: correct it.")
        case psycopg.errors.QueryCanceled():
            return problem_of(SearchTooSlow())
        case psycopg.errors.DiskFull():
            detail = "The database's disk is full, so nothing can be saved: try again once there is room."
            return Problem(503, "database_away", detail, {"Retry-After": "1"})
        case _ if is_transient(error):
            detail = "The database does not answer: try again in a moment."
            return Problem(503, "database_away", detail, {"Retry-After": "1"})
        case _:
            detail = "Something went wrong here: try again, and tell the operator the request id in `instance`."
            return Problem(500, "internal_error", detail)


def _sentence(message: str) -> str:
    """A message of core's, which are written to stand behind a colon."""
    return f"{message[:1].upper()}{message[1:].removesuffix('.')}."


def _of_http(error: HTTPException) -> Problem:
    # FastAPI wraps what goes wrong while it reads a body in a 400 of its own.
    cause = error.__cause__
    if isinstance(cause, ApiError):
        return problem_of(cause)
    code = _CODES.get(error.status_code, f"http_{error.status_code}")
    detail = str(error.detail)
    if error.status_code == 404 and detail == "Not Found":
        detail = "Not Found: there is nothing at this path, look at /docs for what there is."
    if error.status_code == 405:
        detail = f"Method Not Allowed: at this path use {(error.headers or {}).get('Allow', 'another')}."
    return Problem(error.status_code, code, detail, error.headers)


def _of_validation(error: RequestValidationError) -> Problem:
    found = [{"pointer": _pointer(item["loc"]), "detail": _what_is_wrong(item)} for item in error.errors()]
    first = found[0] if found else {"pointer": "#", "detail": "the body is wrong"}
    more = f" ({len(found) - 1} more in `errors`)" if len(found) > 1 else ""
    detail = f"{first['pointer']}: {first['detail']}{more}. Correct it and send the request again."
    return Problem(422, Invalid.code, detail, extra={"errors": found})


def _what_is_wrong(item: Mapping[str, Any]) -> str:
    """In the words of JSON Schema's validators, by which clients of the Agent Server know it; else in pydantic's."""
    said, name, bounds = str(item["msg"]), str((item["loc"] or ("body",))[-1]), item.get("ctx") or {}
    given = item.get("input")
    shown = json.dumps(given) if isinstance(given, str | int | float | bool | None) else type(given).__name__
    if len(shown) > _LONGEST_SHOWN:
        return said
    match str(item["type"]):
        case "missing":
            return f'"{name}" is a required property'
        case "literal_error" | "enum":
            return f"{shown} is not one of {bounds.get('expected')}"
        case "greater_than_equal":
            return f"{shown} is less than the minimum of {bounds.get('ge')}"
        case "less_than_equal":
            return f"{shown} is greater than the maximum of {bounds.get('le')}"
        case "uuid_parsing" if item["loc"][0] == "path":
            return f"Invalid {name.removesuffix('_id')} ID: must be a UUID"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f'{shown} is not of type "object"'
        case "string_type" | "list_type" | "bool_type" | "int_type":
            return f'{shown} is not of type "{_JSON_TYPES[item["type"]]}"'
        case _:
            return said


def _pointer(location: tuple[int | str, ...]) -> str:
    where, *rest = location or ("body",)
    path = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in rest)
    return f"#{path}" if where == "body" else f"{where}{path}"
