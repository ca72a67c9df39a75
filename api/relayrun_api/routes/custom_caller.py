"""Who calls an agent's own web app, if anybody is asked."""

from typing import Any

from starlette.requests import HTTPConnection

from relayrun_api.auth import Principal
from relayrun_api.errors import Unauthenticated
from relayrun_api.services.custom_routes import CustomApp


async def user_for(app: CustomApp, connection: HTTPConnection) -> dict[str, Any] | None:
    """Who calls, in the words of LangGraph's SDK; None for an app that is open to all. Raises Unauthenticated."""
    if app.open_to_all:
        return None
    caller: Principal | None = await connection.app.state.authenticator.authenticate(connection)
    if caller is None:
        raise Unauthenticated("Say who you are: send `Authorization: Bearer` with your token, or your key.")
    if caller.user is not None:
        return dict(caller.user)
    identity = caller.owner or ""
    return {
        "identity": identity,
        "display_name": identity,
        "is_authenticated": caller.owner is not None,
        "permissions": [],
    }
