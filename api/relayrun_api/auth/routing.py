"""Declares routes: each states its permission, its summary and its answers where it is defined."""

from collections.abc import Callable
from typing import Any, Required, TypedDict, TypeVar, Unpack

from starlette.routing import BaseRoute

from relayrun_api.auth.guard import GuardedRoute
from relayrun_api.auth.permissions import Permission
from relayrun_api.http.bodies import JsonRoute
from relayrun_api.http.operation import Operation
from relayrun_api.http.responses import Json

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Declaration(TypedDict, total=False):
    """What a route says of itself beside its path; its handler's docstring is its summary.

    `permission`: what an author's handlers are asked before it is called; only routes that are open to all have none.
    `body`: the JSON schema of a body that the handler reads itself. What stands below it is an `Operation`'s.
    """

    operation_id: Required[str]
    description: Required[str]
    permission: Permission
    status_code: int
    body: dict[str, Any]
    answer: Any
    example: Any
    examples: dict[str, Any]
    refusals: tuple[int, ...]
    also: dict[int, str]
    asks_who: bool


class Router:
    """Routes under one tag, for callers who say who they are unless it is open to all."""

    def __init__(self, tag: str, *, open_to_all: bool = False) -> None:
        self.routes: list[BaseRoute] = []
        self._tag = tag
        self._open_to_all = open_to_all

    def get(self, path: str, **said: Unpack[Declaration]) -> Callable[[Handler], Handler]:
        """A route for GET."""
        return self._add("GET", path, said)

    def post(self, path: str, **said: Unpack[Declaration]) -> Callable[[Handler], Handler]:
        """A route for POST."""
        return self._add("POST", path, said)

    def put(self, path: str, **said: Unpack[Declaration]) -> Callable[[Handler], Handler]:
        """A route for PUT."""
        return self._add("PUT", path, said)

    def patch(self, path: str, **said: Unpack[Declaration]) -> Callable[[Handler], Handler]:
        """A route for PATCH."""
        return self._add("PATCH", path, said)

    def delete(self, path: str, **said: Unpack[Declaration]) -> Callable[[Handler], Handler]:
        """A route for DELETE."""
        return self._add("DELETE", path, said)

    def _add(self, method: str, path: str, said: Declaration) -> Callable[[Handler], Handler]:
        declared: dict[str, Any] = {"status_code": None, **said}
        options = {name: declared.pop(name) for name in ("operation_id", "description", "status_code")}
        options |= {"methods": [method], "tags": [self._tag], "response_class": Json}
        if (body := declared.pop("body", None)) is not None:
            content = {"application/json": {"schema": body}}
            options["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
        permission = declared.pop("permission", None)
        operation = Operation(**declared)

        def add(handler: Handler) -> Handler:
            if self._open_to_all:
                self.routes.append(JsonRoute(path, handler, operation=operation, **options))
            elif permission is None:
                raise ValueError(f"{method} {path}: say what its callers want (`permission`)")
            else:
                self.routes.append(GuardedRoute(path, handler, permission=permission, operation=operation, **options))
            return handler

        return add
