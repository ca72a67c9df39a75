"""The page at `/docs`: Swagger UI, from this server alone, for browsers that reach no other."""

from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

#: Swagger UI's own styles stand in its elements; scripts come from here, and go nowhere else.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
_KEPT = {"Cache-Control": "public, max-age=86400"}
_STYLE, _SCRIPT, _ICON = "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"

_PAGE = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Relayrun</title>
<link rel="icon" href="docs/{_ICON}">
<link rel="stylesheet" href="docs/{_STYLE}">
</head>
<body>
<div id="page"></div>
<script src="docs/{_SCRIPT}"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  persistAuthorization: true,
  validatorUrl: null,
});
"""


def page_routes() -> list[BaseRoute]:
    """The page and what it loads, all named from where it is, so that a path in front of it changes nothing."""
    return [
        Route("/docs", _page),
        Route("/docs/start.js", _start),
        *(Route(f"/docs/{name}", _file) for name in (_STYLE, _SCRIPT, _ICON)),
    ]


async def _page(_: Request) -> Response:
    return HTMLResponse(_PAGE, headers=_HEADERS)


async def _start(_: Request) -> Response:
    return Response(_START, media_type="text/javascript", headers=_HEADERS)


async def _file(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return FileResponse(_folder() / name, headers={**_HEADERS, **_KEPT})


def _folder() -> Path:
    # Of the package fastapi-swagger its files alone, which are Swagger UI's: its code is not loaded.
    spec = find_spec("fastapi_swagger")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "resources"
