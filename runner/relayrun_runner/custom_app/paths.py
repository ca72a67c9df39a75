"""The paths of an author's app: which of the API's it takes, and which the API hides.

Starlette's and FastAPI's apps tell them; of other apps nothing is known.
"""

import logging
import sys
from collections.abc import Iterable
from typing import Any

from relayrun_core.runner_requests import BUILT_IN, YIELDING, CustomHttp, first_of
from relayrun_runner.config.model import HeaderPatterns, HttpConfig

log = logging.getLogger("relayrun.runner")


def custom_http_of(http: HttpConfig | None, takes: tuple[str, ...]) -> CustomHttp:
    """What the API has to know of the section."""
    if http is None:
        return CustomHttp()
    patterns = http.configurable_headers or HeaderPatterns()
    return CustomHttp(
        app=http.app is not None,
        takes=takes,
        open_to_all=http.enable_custom_route_auth is False,
        header_includes=tuple(patterns.includes or ()),
        header_excludes=tuple(patterns.excludes or ()),
    )


def paths_of(app: Any) -> list[str]:
    """The paths of its routes, those of included routers too, with parameters as they are written."""
    routes = getattr(app, "routes", None) or ()
    # Newer versions of FastAPI keep a router that was included as one route without a path.
    contexts = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    found = (getattr(route, "path", None) for route in (contexts(routes) if contexts else routes))
    return [path for path in found if isinstance(path, str) and path.startswith("/")]


def taken(paths: Iterable[str]) -> tuple[str, ...]:
    """Those of `YIELDING` that the app has routes for. A route for all paths is none for these."""
    return tuple(sorted({first_of(path) for path in paths} & YIELDING))


def warn_of_hidden(paths: Iterable[str]) -> None:
    """Say which routes nobody will reach."""
    for path in paths:
        if (first := first_of(path)) in BUILT_IN - YIELDING:
            log.warning(
                "http.app: what Relayrun has below /%s wins over the app's route %s: choose another path", first, path
            )
