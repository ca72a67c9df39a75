"""Authenticates and authorizes the caller in front of each route, before the request's body is read.

Where an author's handlers decide, they are asked here too what the caller may, for all routes alike.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from relayrun_api.auth.admission import admitted
from relayrun_api.auth.custom import CustomAuth
from relayrun_api.auth.permissions import Permission
from relayrun_api.auth.principal import Authenticator, Principal
from relayrun_api.http.bodies import JsonRoute
from relayrun_api.http.errors import ApiError, Unauthenticated
from relayrun_api.http.rate_limit import subject_of
from relayrun_api.http.shares import ASKING_USER, Shares, held


class GuardedRoute(JsonRoute):
    """A route for callers who say who they are, each of whom has a share of what is open at once.

    This is what routes are made of, so that none is open by oversight.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], permission: Permission, **options: Any) -> None:
        self.permission = permission
        super().__init__(path, endpoint, **options)
        self.app = held(self.app)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the guard."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            authenticator: Authenticator = request.app.state.authenticator
            principal: Principal | None
            if isinstance(authenticator, CustomAuth):
                principal, request = await admitted(authenticator, request, self, self.permission)
            else:
                principal = await authenticator.authenticate(request)
            if principal is None:
                raise Unauthenticated("Authenticate: send `Authorization: Bearer` with your token, or your key.")
            request.state.principal = principal
            ASKING_USER.set(principal.user)
            shares: Shares = request.app.state.shares
            await shares.hold(principal.owner, request)
            return await handler(request)

        return handle


async def _anybody(request: Request) -> Principal | None:
    authenticator: Authenticator = request.app.state.authenticator
    if not isinstance(authenticator, CustomAuth):
        return await authenticator.authenticate(request)
    try:
        # What is open to all is so without the author's code too.
        return await authenticator.authenticate(request)
    except ApiError:
        return None


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal  # of a GuardedRoute
    return principal


#: Who calls a guarded route.
Caller = Annotated[Principal, Depends(_caller)]
#: Who calls a route that is open to all; None: it does not say.
MaybeCaller = Annotated[Principal | None, Depends(_anybody)]


async def _reader(request: Request, caller: Caller) -> str:
    return subject_of(caller.owner, request.client.host if request.client else None)


#: Whose share a search is counted in.
Reader = Annotated[str, Depends(_reader)]
