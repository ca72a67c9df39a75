"""The OpenAPI document's word on authentication: which schemes there are, and which routes need one."""

from typing import Any

from fastapi import FastAPI

from relayrun_api.auth import GuardedRoute
from relayrun_core.settings import AccessSettings

_SCHEMES: dict[str, dict[str, Any]] = {
    "jwt": {"bearer": {"type": "http", "scheme": "bearer", "description": "A JSON Web Token or an API key"}},
    "api-key": {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A JSON Web Token or an API key"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    },
}


class DocumentedApi(FastAPI):
    """An application whose /docs asks for a token where its routes do."""

    def __init__(self, settings: AccessSettings, **options: Any) -> None:
        super().__init__(**options)
        self._schemes = {
            name: scheme for kind in settings.auth_kinds for name, scheme in _SCHEMES.get(kind, {}).items()
        }

    def openapi(self) -> dict[str, Any]:
        """The document; FastAPI makes it once."""
        made = self.openapi_schema is not None
        document = super().openapi()
        if self._schemes and not made:
            document.setdefault("components", {})["securitySchemes"] = self._schemes
            for route in self.routes:
                if isinstance(route, GuardedRoute):
                    for method in route.methods or ():
                        needs: list[dict[str, list[str]]] = [{name: []} for name in self._schemes]
                        document["paths"][route.path][method.lower()]["security"] = needs
        return document
