"""For whom the API asks a runner: the user that an author's own authentication found, in headers of the question."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

#: Has the user as JSON, in parts: a user may be long, and servers take no long lines.
USER_HEADER = "x-relayrun-user"
_LONGEST_VALUE = 4096


def user_headers(user: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The headers that say it; none for nobody."""
    value = base64.b64encode(orjson.dumps(user)).decode() if user is not None else ""
    return [(USER_HEADER, value[begin : begin + _LONGEST_VALUE]) for begin in range(0, len(value), _LONGEST_VALUE)]


def user_in(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any] | None:
    """Whom `user_headers` names, among others; None for nobody. Raises ValueError."""
    value = b"".join(part for name, part in headers if name == USER_HEADER.encode())
    if not value:
        return None
    try:
        user: dict[str, Any] = orjson.loads(base64.b64decode(value, validate=True))
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise ValueError(f"{USER_HEADER} is not what the API writes: {error}") from error
    return user
