"""Who calls an agent's own web app, if anybody is asked."""

from contextlib import AsyncExitStack
from typing import Any

from starlette.requests import HTTPConnection

from relayrun_api.auth import Principal
from relayrun_api.custom_routes.service import CustomApp
from relayrun_api.http.errors import Unauthenticated
from relayrun_api.http.shares import Shares


async def user_for(app: CustomApp, connection: HTTPConnection, held: AsyncExitStack) -> dict[str, Any] | None:
    """Who calls, in the words of LangGraph's SDK; None for an app that is open to all. The caller's share is held.

    Raises Unauthenticated, TooManyAtOnce.
    """
    shares: Shares = connection.app.state.shares
    if app.open_to_all:
        await held.enter_async_context(shares.open(None, connection))
        return None
    caller: Principal | None = await connection.app.state.authenticator.authenticate(connection)
    if caller is None:
        raise Unauthenticated("Say who you are: send `Authorization: Bearer` with your token, or your key.")
    await held.enter_async_context(shares.open(caller.owner, connection))
    if caller.user is not None:
        return dict(caller.user)
    identity = caller.owner or ""
    return {
        "identity": identity,
        "display_name": identity,
        "is_authenticated": caller.owner is not None,
        "permissions": [],
    }
