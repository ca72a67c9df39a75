"""Users, as an author's `@auth.authenticate` returns them and as handlers and graphs are given them.

A handler may return a name, a mapping or an object; what it leaves out has the defaults of LangGraph's SDK. What is
kept of a user, in a cache or with a run, is JSON.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import orjson

from relayrun_runner.errors import AuthFailed

_LONGEST_IDENTITY = 1024
_MOST_BYTES = 64 * 1024
Members = dict[str, Any]

_KNOWN = ("identity", "display_name", "is_authenticated", "permissions")


class User(Mapping[str, Any]):
    """A user in the form of the SDK's `BaseUser`: its members are attributes and keys."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members: Members = {**members}

    @property
    def identity(self) -> str:
        """Who it is: the owner of what it makes."""
        return str(self._members["identity"])

    @property
    def display_name(self) -> str:
        """What people call it."""
        return str(self._members["display_name"])

    @property
    def is_authenticated(self) -> bool:
        """As the author says."""
        return bool(self._members["is_authenticated"])

    @property
    def permissions(self) -> Sequence[str]:
        """As the author says."""
        return list(self._members["permissions"])

    def dict(self) -> Members:
        """All of it."""
        return {**self._members}

    def model_dump(self) -> Members:
        """The same, as pydantic's models say it."""
        return self.dict()

    def __getitem__(self, key: str) -> Any:
        return self._members[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getattr__(self, name: str) -> Any:
        if name == "_members" or name not in self._members:
            raise AttributeError(f"the user has no {name!r}: return it with the user from @auth.authenticate")
        return self._members[name]

    def __repr__(self) -> str:
        return f"User({self.identity!r})"  # no token of it in anybody's log

    def __reduce__(self) -> Any:
        return User, (self._members,)


def user_of(returned: Any) -> User:
    """The user that a handler returned: a name, a mapping, an object, or a pair of permissions and one of these.

    Raises AuthFailed for what is no user.
    """
    permissions = None
    if isinstance(returned, tuple) and len(returned) == 2:
        permissions, returned = returned
    members = _members_of(returned)
    if permissions is not None:
        members["permissions"] = permissions
    identity = members.get("identity")
    if not isinstance(identity, str) or not 0 < len(identity) <= _LONGEST_IDENTITY or "\0" in identity:
        raise AuthFailed(
            f"@auth.authenticate returned {type(returned).__name__}: it must have an `identity`, a text of 1 to"
            f" {_LONGEST_IDENTITY} characters"
        )
    defaults = {"display_name": identity, "is_authenticated": True, "permissions": []}
    kept = {**defaults, **{name: value for name, value in members.items() if value is not None}}
    kept["permissions"] = _texts(kept["permissions"])
    return User(_as_json(kept))


def _members_of(returned: Any) -> dict[str, Any]:
    if isinstance(returned, str):
        return {"identity": returned}
    if isinstance(returned, Mapping):
        return dict(returned)
    known = {name: getattr(returned, name) for name in _KNOWN if hasattr(returned, name)}
    return {**_further(returned), **known}


def _further(returned: Any) -> dict[str, Any]:
    """An object's other members, by the first way to name them that it has."""
    if is_dataclass(returned) and not isinstance(returned, type):
        return asdict(returned)
    for name in ("model_dump", "dict", "to_dict"):
        method = getattr(returned, name, None)
        if callable(method) and isinstance(found := method(), Mapping):
            return dict(found)
    return {name: value for name, value in getattr(returned, "__dict__", {}).items() if not name.startswith("_")}


def _texts(permissions: Any) -> list[str]:
    if isinstance(permissions, str) or not isinstance(permissions, (list, tuple, set, frozenset)):
        raise AuthFailed("@auth.authenticate returned `permissions` that are not a list of strings")
    return [str(permission) for permission in permissions]


def _as_json(members: dict[str, Any]) -> dict[str, Any]:
    try:
        content = orjson.dumps(members, default=str, option=orjson.OPT_NON_STR_KEYS)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise AuthFailed(f"@auth.authenticate returned a user that cannot be kept as JSON: {error}") from error
    if len(content) > _MOST_BYTES:
        raise AuthFailed(f"@auth.authenticate returned a user of more than {_MOST_BYTES} bytes of JSON: return less")
    if b"\\u0000" in content:
        raise AuthFailed("@auth.authenticate returned a user with a NUL character, which cannot be kept")
    loaded: dict[str, Any] = orjson.loads(content)
    return loaded
