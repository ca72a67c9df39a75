"""Who calls: the token is the name. Handlers let everybody see their own, and note whom they were asked about."""

import os
from pathlib import Path
from typing import Any

from langgraph_sdk import Auth, get_client

auth = Auth()
client = get_client()


def note(*words: object) -> None:
    with (Path(os.environ["LOOPBACK_FOLDER"]) / "auth.log").open("a") as log:
        print(*words, file=log)


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> dict[str, Any]:
    name = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
    if not name:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Who?")
    note("authenticate", name)
    # A handler may look things up in its own server.
    return {"identity": name, "permissions": ["p"], "threads": len(await client.threads.search(limit=1))}


@auth.on
async def on(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
    note(ctx.resource, ctx.action, ctx.user.identity, *ctx.permissions)
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
