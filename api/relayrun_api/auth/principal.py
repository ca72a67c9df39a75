"""A caller, and what finds out who it is."""

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import HTTPConnection


@dataclass(frozen=True)
class Principal:
    """A caller: `owner` owns what it makes; an admin sees what everybody owns. Without authentication nobody owns."""

    owner: str | None
    admin: bool = False

    def may_see(self, owner: str | None) -> bool:
        """Whether a thing of `owner` exists for this caller."""
        return self.admin or self.owner == owner


class Authenticator(Protocol):
    """Finds out who a connection belongs to."""

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """The caller; None when it does not say who it is. Raises Unauthenticated for a token that is not valid."""
        ...
