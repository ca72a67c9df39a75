"""Authentication and authorization by an author's own handlers (`auth` of `langgraph.json`), which run in a runner.

It fails closed: whatever a runner does not answer is 503, and what it answers that is no decision is 500. A user is
remembered only where `auth.cache` says by what and for how long; refusals are not.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from starlette.requests import HTTPConnection

from relayrun_api.auth.keys import KeyRing, sent_key
from relayrun_api.auth.loopback import OwnCalls
from relayrun_api.auth.permissions import AccessCheck
from relayrun_api.auth.principal import Principal, Remembered, Resource, Scope
from relayrun_api.http.errors import AuthFailed, RefusedByAuthor, RunnersAway
from relayrun_core.db.metadata_filter import InvalidFilter, parse_filter


class Handlers(Protocol):
    """An author's handlers, wherever they run."""

    async def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """What they answer. Raises RunnersAway."""
        ...


@dataclass(frozen=True)
class _Known:
    """A user, and which handlers there are."""

    user: Mapping[str, Any]
    handlers: frozenset[str]

    def concerns(self, checks: Sequence[AccessCheck]) -> bool:
        return any(self.handlers & check.names for check in checks)


@dataclass(frozen=True)
class _Policy:
    keys: tuple[str, ...]
    ttl_seconds: float
    max_size: int


class CustomAuth:
    """Asks the handlers; callers with one of this installation's own keys, where these are let in, are not theirs."""

    def __init__(
        self,
        handlers: Handlers,
        keys: KeyRing | None = None,
        own_calls: OwnCalls | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = handlers
        self._keys = keys
        self._own_calls = own_calls
        self._clock = clock
        self._policy: _Policy | None = None
        self._remembered: Remembered[_Known] = Remembered(1)

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """The caller, for what no handler is asked about. Raises RefusedByAuthor, AuthFailed, RunnersAway."""
        return await self.admit(connection, ())

    async def admit(
        self, connection: HTTPConnection, checks: Sequence[AccessCheck], known: Principal | None = None
    ) -> Principal:
        """The caller, with what it may do of what it asks; what the handlers changed is written.

        `known`: it was authenticated for this very request. Handlers are asked about a run's own calls as about its
        user's, as in the Agent Server. Raises RefusedByAuthor, AuthFailed, RunnersAway.
        """
        if known is None and self._own_calls is not None:
            known = await self._own_calls.caller(connection)
        if known is not None and known.user is None:
            return known
        if known is None and self._keys is not None and (key := sent_key(connection)) is not None:
            return await self._keys.verify(key)
        if known is not None:
            return await self._ask_handlers(connection, {"user": known.user}, checks)
        remembered = self._recall(connection)
        if remembered is not None and not remembered.concerns(checks):
            return _principal(remembered.user, checks, [{"matched": False}] * len(checks))
        if remembered is not None:
            return await self._ask_handlers(connection, {"user": remembered.user}, checks)
        return await self._ask_handlers(connection, {"connection": _described(connection)}, checks)

    async def decide(self, user: Mapping[str, Any], checks: Sequence[AccessCheck]) -> Principal:
        """The same for a user who is not there, as when a cron fires."""
        return await self._ask_handlers(None, {"user": user}, checks)

    async def _ask_handlers(
        self, connection: HTTPConnection | None, who: Mapping[str, Any], checks: Sequence[AccessCheck]
    ) -> Principal:
        questions = [{"resource": check.resource, "action": check.action, "value": check.value} for check in checks]
        answer = await self._handlers.ask({**who, "asks": questions})
        user, decisions = answer.get("user"), answer.get("decisions") or []
        if user is not None and connection is not None and "connection" in who:
            self._remember(connection, user, answer)
        if (refused := answer.get("refused")) is not None:
            raise _refusal(refused)
        if not isinstance(user, dict) or not user.get("identity") or len(decisions) != len(checks):
            raise AuthFailed("The runner's answer about who you are is invalid: tell whoever operates this server.")
        return _principal(user, checks, decisions)

    def _recall(self, connection: HTTPConnection) -> _Known | None:
        key = self._key_of(connection)
        return None if key is None else self._remembered.get(key, self._clock())

    def _remember(self, connection: HTTPConnection, user: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        self._adopt(answer.get("cache"))
        key = self._key_of(connection)
        if key is not None and self._policy is not None:
            known = _Known(user, frozenset(answer.get("handlers") or ()))
            self._remembered.put(key, known, self._clock() + self._policy.ttl_seconds)

    def _adopt(self, cache: Mapping[str, Any] | None) -> None:
        """The newest word of the file; what was remembered by another is forgotten."""
        policy = None
        if cache is not None:
            policy = _Policy(tuple(map(str.lower, cache["keys"])), cache["ttl_seconds"], cache["max_size"])
        if policy != self._policy:
            self._policy = policy
            self._remembered = Remembered(policy.max_size if policy else 1)

    def _key_of(self, connection: HTTPConnection) -> str | None:
        """What a user is remembered by; None where nothing of it is sent."""
        if self._policy is None:
            return None
        query = [(name.lower(), value) for name, value in connection.query_params.multi_items()]
        # ProtocolEvent apart: what a trusted proxy writes into a header, anybody may write into a query.
        found = [
            [connection.headers.getlist(name), [value for given, value in query if given == name]]
            for name in self._policy.keys
        ]
        return orjson.dumps(found).decode() if any(map(any, found)) else None


def _described(connection: HTTPConnection) -> dict[str, Any]:
    scope = connection.scope
    return {
        # Of a WebSocket, its request's.
        "method": scope.get("method", "GET"),
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "path_params": {name: str(value) for name, value in scope.get("path_params", {}).items()},
        "headers": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        "scheme": scope["scheme"],
        "client": scope.get("client"),
    }


def _principal(
    user: Mapping[str, Any], checks: Sequence[AccessCheck], decisions: Sequence[Mapping[str, Any]]
) -> Principal:
    scopes: dict[str, Scope] = {}
    metadata: Mapping[str, Any] | None = None
    kwargs: Mapping[str, Any] = {}
    identity: str = user["identity"]
    for check, decision in zip(checks, decisions, strict=True):
        value = decision.get("value")
        if value is not None and check.write is not None:
            check.write(value)
        if check.action == "create_run" and metadata is None and decision.get("matched"):
            metadata = (value or check.value).get("metadata") or {}
            before, after = check.value["kwargs"], (value or {}).get("kwargs") or {}
            kwargs = {name: given for name, given in after.items() if given != before.get(name)}
        # Of several about one resource, the first is about what is there already.
        scopes.setdefault(check.resource, _scope(identity, check.resource, decision))
    return Principal(identity, user=user, scopes=scopes, metadata=metadata, kwargs=kwargs)


def _scope(identity: str, resource: Resource, decision: Mapping[str, Any]) -> Scope:
    given = decision.get("filter")
    # Items have no metadata: a handler that would filter them, and leaves the namespace, gets the built-in rule.
    if not decision.get("matched") or (resource == "store" and given):
        return Scope(identity)
    try:
        return Scope(identity, any_owner=True, visible=parse_filter(given or {}))
    except InvalidFilter as error:
        raise AuthFailed(
            f"The agent's authorization returned an invalid filter: {error}. Tell whoever operates this server."
        ) from error


def _refusal(refused: Mapping[str, Any]) -> Exception:
    status, detail = refused["status"], str(refused["detail"])
    if refused.get("failed"):
        return AuthFailed(detail) if status == AuthFailed.status else RunnersAway(detail, headers={"Retry-After": "1"})
    return RefusedByAuthor(status, detail, refused.get("headers") or {})
