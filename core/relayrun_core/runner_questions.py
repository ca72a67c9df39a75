"""What the API and a runner say in a question about a thread's state: for whom it asks, and which parts it wants."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
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


#: The header of a runner's answer whose states have been reduced to the parts that were asked for.
SELECTED_HEADER = "Relayrun-Selected"
#: The reason of a runner whose 504 is not to be blamed on the agent's code.
READING_SLOW = "ReadingSlow"


def parts_of(state: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """A state's members by their names, or one of its values as `values.<key>`; what there is not is left out."""
    parts = {name: state[name] for name in fields if name in state}
    keys = [name.removeprefix("values.") for name in fields if name.startswith("values.")]
    values = state.get("values")
    if keys and "values" not in parts:
        parts["values"] = {key: values[key] for key in keys if key in values} if isinstance(values, dict) else values
    return parts
