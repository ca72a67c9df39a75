"""Authentication and authorization of every kind that an author may write. A token is `<name>` or `<name> <wish>`."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from langgraph_sdk import Auth

auth = Auth()
calls: list[str] = []


@auth.authenticate
async def authenticate(
    authorization: str | None, headers: dict[bytes, bytes], method: str, path: str, query_params: Any, path_params: Any
) -> Auth.types.MinimalUserDict:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Auth.exceptions.HTTPException(401, "Who are you?", {"X-Ask": "nicely\r\nX-Evil: 1", "X-Hint": "bearer"})
    name, _, wish = token.partition(" ")
    calls.append(name)
    match wish:
        case "teapot":
            raise Auth.exceptions.HTTPException(418, "I am a teapot")
        case "broken":
            raise RuntimeError("the secret is in here")
        case "assertion":
            raise AssertionError("no")
        case "slow":
            await asyncio.sleep(60)
        case "blocking":
            time.sleep(60)
        case "nobody":
            return {}  # type: ignore[typeddict-item]
    assert headers[b"authorization"].startswith(b"Bearer"), (method, path, query_params, path_params)
    return {
        "identity": name,
        "permissions": ["use", *(["admin"] if name == "root" else [])],
        "team": "red",
        "secret": "a-token-of-the-users",
        "calls": len(calls),
    }  # type: ignore[typeddict-unknown-key]


@auth.on
async def stamp(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Auth.types.FilterType:
    """The rule of LangGraph's own documentation: who makes a thing owns it."""
    if ctx.user.identity == "eve":
        raise AssertionError("eve may nothing")
    assert ctx.user["team"] == "red"
    value.setdefault("metadata", {})["belongs_to"] = ctx.user.identity
    return {"belongs_to": ctx.user.identity}


@auth.on.threads.read
async def read(ctx: Auth.types.AuthContext, value: Auth.types.ThreadsRead) -> Auth.types.FilterType | bool:
    """What is shared with one may be read, and nothing else be done with it."""
    if "admin" in ctx.permissions:
        return True
    if ctx.user.identity == "mallory":
        return False
    mine, shared = {"belongs_to": ctx.user.identity}, {"shared_with": {"$contains": ctx.user.identity}}
    return {"$or": [mine, shared]}  # type: ignore[dict-item]


@auth.on.threads.create_run
async def create_run(ctx: Auth.types.AuthContext, value: Auth.types.RunsCreate) -> Auth.types.FilterType:
    assert ctx.user["team"] == "red", "not of the team"
    value.setdefault("metadata", {})["belongs_to"] = ctx.user.identity
    value["kwargs"]["config"]["configurable"]["extra"] = f"by {ctx.action}"
    return {"belongs_to": ctx.user.identity}


@auth.on.store
async def scoped(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    namespace = tuple(value["namespace"]) if value.get("namespace") else ()
    if not namespace or namespace[0] != ctx.user.identity:
        namespace = (ctx.user.identity, *namespace)
    value["namespace"] = namespace
