"""Where callers are asked who they are: in front of each route, before anything of the request's body is read."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from relayrun_api.auth.principal import Authenticator, Principal
from relayrun_api.bodies import JsonRoute
from relayrun_api.errors import Unauthenticated


class GuardedRoute(JsonRoute):
    """A route for callers who say who they are. This is what routes are made of, so that none is open by oversight."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the guard."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            principal = await _principal(request)
            if principal is None:
                raise Unauthenticated("Say who you are: send `Authorization: Bearer` with your token, or your key.")
            request.state.principal = principal
            return await handler(request)

        return handle


async def _principal(request: Request) -> Principal | None:
    authenticator: Authenticator = request.app.state.authenticator
    return await authenticator.authenticate(request)


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal  # of a GuardedRoute
    return principal


#: Who calls a guarded route.
Caller = Annotated[Principal, Depends(_caller)]
#: Who calls a route that is open to all; None: it does not say.
MaybeCaller = Annotated[Principal | None, Depends(_principal)]
