"""Who asks. The first version knows `none`: everybody is an admin, and what they make belongs to nobody."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection, Request

__all__ = ["Authenticator", "Caller", "NoAuth", "Principal"]


@dataclass(frozen=True)
class Principal:
    """A caller: `owner` owns what it makes; an admin sees what everybody owns."""

    owner: str | None
    admin: bool = False

    def may_see(self, owner: str | None) -> bool:
        """Whether a thing of `owner` exists for this caller."""
        return self.admin or self.owner == owner


class Authenticator(Protocol):
    """Finds out who a connection belongs to. Raises ApiError with 401."""

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        """The caller."""
        ...


class NoAuth:
    """`auth: none`: only when asked for."""

    async def authenticate(self, connection: HTTPConnection) -> Principal:  # noqa: ARG002 - the protocol's
        """An admin without a name."""
        return Principal(owner=None, admin=True)


async def _caller(request: Request) -> Principal:
    authenticator: Authenticator = request.app.state.authenticator
    return await authenticator.authenticate(request)


Caller = Annotated[Principal, Depends(_caller)]
