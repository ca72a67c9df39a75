"""The OpenAPI document and the page that shows it. The words are looked at when the document is asked for."""

import asyncio
from threading import Lock
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from relayrun_api.http.bodies import JsonRoute
from relayrun_api.http.responses import Json
from relayrun_api.openapi.page import page_routes
from relayrun_api.settings import ApiSettings

_SCHEMES: dict[str, dict[str, Any]] = {
    "custom": {"bearer": {"type": "http", "scheme": "bearer", "description": "What the agent's own `auth` takes"}},
    "jwt": {"bearer": {"type": "http", "scheme": "bearer", "description": "A JSON Web Token or an API key"}},
    "api-key": {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A JSON Web Token or an API key"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key"},
    },
}


class DocumentedApi(FastAPI):
    """An application whose document says all about its routes."""

    def __init__(self, settings: ApiSettings, **options: Any) -> None:
        self._making = Lock()
        self._prefix = settings.mount_prefix
        self._is_off = "meta" in settings.disable
        super().__init__(**options)
        # In an order of their own, so that the document is the same in every process.
        self._schemes = {
            name: scheme for kind in sorted(settings.auth_kinds) for name, scheme in _SCHEMES.get(kind, {}).items()
        }
        self._forbids = "custom" in settings.auth_kinds

    def setup(self) -> None:
        """Routes in place of FastAPI's, whose document holds everybody up while it is made, and whose pages load their
        scripts from elsewhere.
        """
        if self._is_off:
            return
        self.add_route("/openapi.json", self._document, include_in_schema=False)
        self.router.routes.extend(page_routes())

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        with self._making:
            if self.openapi_schema is None:
                # Late: who does not read the document pays nothing for it.
                from relayrun_api.openapi.document import completed

                routes = [route for route in self.routes if isinstance(route, JsonRoute)]
                self.openapi_schema = completed(
                    super().openapi(), routes, self._schemes, self._prefix, forbids=self._forbids
                )
            return self.openapi_schema

    async def _document(self, _: Request) -> Response:
        return Json(await asyncio.to_thread(self.openapi))
