"""The author's own authentication and authorization: the `auth` of `langgraph.json`, an `Auth` of LangGraph's SDK.

```
 API ─▶ POST /auth {connection, or a user that is known; asks} ─▶ @auth.authenticate ─▶ @auth.on of each ask ─▶ answer
```
Handlers run on an event loop of their own: a node that blocks the graphs' loop must not keep callers out, nor a handler
that blocks hold up the protocol. What a handler says is in the answer, refusals too; nothing is let through for want of
an answer.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

import orjson
import psycopg
from langgraph_sdk import Auth
from psycopg_pool import PoolTimeout

from relayrun_core.ids import uuid_of
from relayrun_core.loopback import AGENT
from relayrun_runner.auth.asks import Ask, AuthAnswer, AuthQuestion, CachePolicy, Connection, Decision, Refused
from relayrun_runner.auth.users import User, user_of
from relayrun_runner.author_errors import class_of, error_text, is_cancelled
from relayrun_runner.config.model import AuthConfig, Config
from relayrun_runner.errors import AuthFailed, AuthLoadError, DatabaseAway
from relayrun_runner.graphs.imports import ObjectNotFound, load_object
from relayrun_runner.langgraph_internals import authenticate_handler, handlers_of
from relayrun_runner.loopback import CALLER
from relayrun_runner.process.loops import run_for_ever

log = logging.getLogger("relayrun.runner.auth")

#: The ids of the threads that a user calls so.
Named = Callable[[str, Sequence[str]], Coroutine[Any, Any, Sequence[UUID]]]

#: How long the handlers of one request may take, all together.
LIMIT_SECONDS = 5.0
# A handler that blocks its loop is not seen by the loop's own clock.
_BLOCKED_SECONDS = 1.0

_GIVEN = frozenset(
    {"request", "path", "method", "path_params", "query_params", "headers", "authorization", "scope", "user", "scopes"}
)
_FAILED = "failed: the agent's handler raised an error, which the log of its runner has. Tell who runs this server."


class AuthorAuth:
    """An author's `Auth`, ready to be asked from any loop."""

    def __init__(self, auth: Auth, config: AuthConfig) -> None:
        handler = authenticate_handler(auth)
        assert handler is not None
        self._auth = auth
        self._authenticate: Callable[..., Any] = handler
        self._wants = _wanted(handler)
        self._config = config
        self._loop = asyncio.new_event_loop()
        # It ends with the process.
        threading.Thread(target=run_for_ever, args=[self._loop], name="author's auth", daemon=True).start()

    @classmethod
    def load(cls, config: Config) -> "AuthorAuth | None":
        """What `langgraph.json` names, or None where it names nothing. Imports author code. Raises AuthLoadError."""
        if config.auth is None:
            return None
        path = config.auth.path
        try:
            auth = load_object(config, path)
        except ObjectNotFound as error:
            raise AuthLoadError(f"auth: {path} did not load: {error}") from error
        except BaseException as error:
            raise AuthLoadError(f"auth: {path} did not load: {error_text(error)}") from error
        if not isinstance(auth, Auth):
            raise AuthLoadError(f"auth: {path} is a {type(auth).__name__}, and not an Auth of langgraph_sdk")
        if authenticate_handler(auth) is None:
            raise AuthLoadError(f"auth: {path} has no handler: write one below @{path.rpartition(':')[2]}.authenticate")
        return cls(auth, config.auth)

    async def answer(self, question: AuthQuestion, named: Named) -> AuthAnswer:
        """Who it is and what it may, or the refusal. Never raises but for a cancelled caller.

        `named` says on the caller's loop which threads a user's names mean.
        """
        there = asyncio.get_running_loop()

        async def across(owner: str, names: Sequence[str]) -> Sequence[UUID]:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(named(owner, names), there))

        future = asyncio.run_coroutine_threadsafe(self._within_limit(question, across), self._loop)
        try:
            async with asyncio.timeout(LIMIT_SECONDS + _BLOCKED_SECONDS):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            return AuthAnswer(refused=_too_slow("block their event loop: await what takes time"))
        except BaseException as error:
            if is_cancelled(error):
                raise
            # Not by its own words: whatever it is, its methods are author code, and this is the protocol's loop.
            log.error("the handlers of auth ended with %s", class_of(error))  # noqa: TRY400
            return AuthAnswer(refused=Refused(status=500, detail=f"Authentication {_FAILED}", failed=True))

    async def _within_limit(self, question: AuthQuestion, named: Named) -> AuthAnswer:
        CALLER.set(AGENT)
        try:
            async with asyncio.timeout(LIMIT_SECONDS) as limit:
                return await self._answer(question, named)
        except TimeoutError:
            if limit.expired():
                return AuthAnswer(refused=_too_slow("took too long"))
            raise

    async def _answer(self, question: AuthQuestion, named: Named) -> AuthAnswer:
        try:
            user = await self._user(question)
        except BaseException as error:  # author code may raise anything; it is said and logged
            if is_cancelled(error):
                raise
            return AuthAnswer(refused=_refusal(error, "Authentication"))
        answer = AuthAnswer(
            user=user.dict(),
            handlers=sorted(f"{resource}.{action}" for resource, action in handlers_of(self._auth)),
            cache=_policy(self._config),
        )
        for ask in question.asks:
            try:
                answer.decisions.append(await self._decide(user, ask, named))
            except DatabaseAway as error:
                answer.refused = _no_database(error)
                break
            except BaseException as error:
                if is_cancelled(error):
                    raise
                # With who it is: that this was refused says nothing against remembering it.
                answer.refused = _refusal(error, "Authorization", asserts=True)
                break
        return answer

    async def _user(self, question: AuthQuestion) -> User:
        if question.connection is None:
            return user_of(question.user)
        given = {name: _GIVERS[name](question.connection) for name in self._wants}
        if inspect.iscoroutinefunction(self._authenticate):
            return user_of(await self._authenticate(**given))
        returned = await asyncio.to_thread(self._authenticate, **given)
        return user_of(await returned if inspect.isawaitable(returned) else returned)

    async def _decide(self, user: User, ask: Ask, named: Named) -> Decision:
        handler = self._handler(ask.resource, ask.action)
        if handler is None:
            return Decision(matched=False)
        threads = ask.threads
        value = ask.typed(user.identity, dict(zip(threads, await _ids(user, threads, named), strict=True)))
        before = _dumps(value)
        permissions = list(user.permissions)
        ctx = Auth.types.AuthContext(
            permissions=permissions,
            user=user,
            resource=ask.resource,  # type: ignore[arg-type]
            action=ask.action,  # type: ignore[arg-type]
        )
        result = await handler(ctx=ctx, value=value)
        if result is False:
            raise Auth.exceptions.HTTPException(403, f"You may not {ask.action} {ask.resource} here.")
        if result is not None and result is not True and not isinstance(result, Mapping):
            raise AuthFailed(
                f"a handler of @auth.on returned a {type(result).__name__}: return a filter, None or a bool"
            )
        changed = None if _dumps(value) == before else orjson.loads(_dumps(value))
        found = dict(result) if isinstance(result, Mapping) else None
        return Decision(matched=True, filter=None if found is None else orjson.loads(_dumps(found)), value=changed)

    def _handler(self, resource: str, action: str) -> Callable[..., Any] | None:
        """The most specific one, in the SDK's order."""
        handlers = handlers_of(self._auth)
        for key in ((resource, action), (resource, "*"), ("*", action), ("*", "*")):
            if found := handlers.get(key):
                return found[-1]
        return None


def _wanted(handler: Callable[..., Any]) -> frozenset[str]:
    """The parameters that a handler is called with. Raises AuthLoadError for one that nobody can give it."""
    wanted = set()
    for name, parameter in inspect.signature(handler).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in _GIVEN and parameter.kind is not parameter.POSITIONAL_ONLY:
            wanted.add(name)
        elif parameter.default is parameter.empty:
            why = "it runs before the body is read" if name == "body" else f"it can have {', '.join(sorted(_GIVEN))}"
            raise AuthLoadError(f"auth: @auth.authenticate has the parameter {name!r}, which it does not get: {why}")
    return frozenset(wanted)


_GIVERS: Mapping[str, Callable[[Connection], Any]] = {
    "request": Connection.request,
    "path": lambda connection: connection.path,
    "method": lambda connection: connection.method,
    "path_params": lambda connection: dict(connection.path_params),
    "query_params": Connection.query_params,
    "headers": lambda connection: dict(connection.raw_headers()),
    "authorization": Connection.authorization,
    "scope": Connection.scope,
    # Of Starlette, for what ran before; nothing did.
    "user": lambda _: None,
    "scopes": lambda _: [],
}


def _policy(config: AuthConfig) -> CachePolicy | None:
    cache = config.cache
    if cache is None or not cache.cache_keys:
        return None
    return CachePolicy(keys=cache.cache_keys, ttl_seconds=cache.ttl_seconds, max_size=cache.max_size)


def _refusal(error: BaseException, what: str, *, asserts: bool = False) -> Refused:
    """What a handler's exception means: its own status, where it has one, as LangGraph's and Starlette's have."""
    status, detail = getattr(error, "status_code", None), getattr(error, "detail", None)
    if isinstance(status, int) and 400 <= status < 600 and status in list(HTTPStatus):
        headers = getattr(error, "headers", None)
        texts = {str(name): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}
        return Refused(status=status, detail=str(detail or HTTPStatus(status).phrase), headers=texts)
    if asserts and isinstance(error, AssertionError):
        return Refused(status=403, detail=str(error) or "Forbidden")
    log.error("%s failed", what.lower(), exc_info=error)
    return Refused(status=500, detail=f"{what} {_FAILED}", failed=True)


async def _ids(user: User, threads: list[str], named: Named) -> Sequence[UUID]:
    ids = [found for text in threads if (found := uuid_of(text))]
    if len(ids) == len(threads):
        return ids
    try:
        return await named(user.identity, threads)
    except (psycopg.Error, PoolTimeout) as error:
        raise DatabaseAway(str(error)) from error


def _no_database(error: Exception) -> Refused:
    log.warning("nobody is told who may call, the database does not answer: %s", error)
    detail = "Whose threads these are cannot be looked up just now: try again in a moment."
    return Refused(status=503, detail=detail, headers={"Retry-After": "1"}, failed=True)


def _too_slow(why: str) -> Refused:
    log.error("the handlers of auth %s", why)
    detail = f"The agent's authentication did not answer within {LIMIT_SECONDS:.0f} s: try again in a moment."
    return Refused(status=503, detail=detail, headers={"Retry-After": "1"}, failed=True)


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise AuthFailed(f"a handler of @auth.on wrote something that is not JSON: {error}") from error
