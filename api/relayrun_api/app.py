"""The application: a factory that puts routes, middleware and services together."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import ModuleType

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from relayrun_api import __version__
from relayrun_api.a2a import routes as a2a
from relayrun_api.a2a.notifications import notification
from relayrun_api.agents import routes as agents
from relayrun_api.assistants import routes as assistants
from relayrun_api.auth import open_authenticator
from relayrun_api.chat import routes as chat
from relayrun_api.console.routes import console_routes
from relayrun_api.crons import routes as crons
from relayrun_api.crons.firing import CronTimer, firing
from relayrun_api.custom_routes.routes import CustomFallback, Yielding
from relayrun_api.event_protocol import routes as protocol
from relayrun_api.event_protocol import socket as protocol_socket
from relayrun_api.http.access_log import AccessLog
from relayrun_api.http.cors import Cors
from relayrun_api.http.encoded import EncodedNames
from relayrun_api.http.errors import ApiError
from relayrun_api.http.middleware import LastNet, RequestId
from relayrun_api.http.mounting import Mounted
from relayrun_api.http.responses import Json, on_error
from relayrun_api.http.shares import Shares
from relayrun_api.keys import routes as keys
from relayrun_api.mcp import routes as mcp
from relayrun_api.mcp.metadata import metadata_routes
from relayrun_api.metrics import Metrics
from relayrun_api.openapi import DocumentedApi
from relayrun_api.runs import log_routes as run_logs
from relayrun_api.runs import routes as runs
from relayrun_api.runs import search_routes as run_search
from relayrun_api.runs import stateless_routes as stateless
from relayrun_api.runs.delayed import starting_later
from relayrun_api.settings import ApiSettings, Part
from relayrun_api.store import routes as store
from relayrun_api.system import routes as system
from relayrun_api.system.audit import audit_start
from relayrun_api.system.cleanup import tidying
from relayrun_api.system.unready import OnceReady
from relayrun_api.threads import routes as threads
from relayrun_api.threads import state_routes as thread_states
from relayrun_api.webhooks.delivery import delivering
from relayrun_api.wiring import open_services
from relayrun_core.errors import RelayrunError

_DESCRIPTION = "Runs LangGraph agents that survive crashes. LangGraph's SDKs work unchanged; `/chat` needs none."

_MODULES = (
    runs,
    run_logs,
    crons,
    stateless,
    run_search,
    chat,
    threads,
    thread_states,
    protocol,
    protocol_socket,
    a2a,
    mcp,
    assistants,
    agents,
    keys,
    store,
    system,
)
#: By what `http.disable_*` switches off.
_PARTS: Mapping[Part, tuple[ModuleType, ...]] = {
    "a2a": (a2a,),
    "assistants": (assistants,),
    "mcp": (mcp,),
    "runs": (runs, run_logs, crons, stateless, run_search, chat, protocol, protocol_socket),
    "store": (store,),
    "threads": (threads, thread_states),
}
#: What tells about the server; probes ask for the others.
_META = frozenset(("/info", "/metrics", "/status"))


def _is_off(module: ModuleType, route: BaseRoute, settings: ApiSettings) -> bool:
    if any(module in _PARTS.get(part, ()) for part in settings.disable):
        return True
    return "meta" in settings.disable and getattr(route, "path", "") in _META


def create_app(settings: ApiSettings) -> FastAPI:
    """An API for these settings; it connects when it starts."""
    metrics, shares = Metrics(), Shares(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_services(settings, metrics, shares) as services,
            open_authenticator(settings, services.database, services.handlers) as authenticator,
            tidying(services.database, settings, metrics),
            firing(CronTimer(services.database, services.crons, services.runs, metrics)),
            starting_later(services.database, services.dispatcher),
            delivering(services.database, settings, metrics, notification),
        ):
            if settings.logs_audit:
                audit_start(settings)
            app.state.services = services
            app.state.shares = shares
            app.state.authenticator = authenticator
            yield

    app = DocumentedApi(
        settings,
        title="Relayrun",
        version=__version__,
        description=_DESCRIPTION,
        default_response_class=Json,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestId),
            Middleware(AccessLog, access=settings.logs_access, audit=settings.logs_audit),
            Middleware(Cors, settings=settings),
            Middleware(LastNet, metrics=metrics),
            # Whom proxies name, which decides who is counted; nobody is believed unless the settings say so.
            Middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies),
            Middleware(Mounted, prefix=settings.mount_prefix),
            Middleware(OnceReady),
            Middleware(EncodedNames),
        ],
    )
    for kind in (ApiError, RelayrunError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_error)
    for module in _MODULES:
        # Not include_router, whose nested matching costs more than a millisecond a request.
        app.router.routes.extend(route for route in module.router.routes if not _is_off(module, route, settings))
    app.router.routes.extend((*metadata_routes(settings), *console_routes(settings)))
    app.router.default = theirs = CustomFallback(app.router.default)
    # Within FastAPI's handlers of exceptions, and in front of all routes.
    app.router.middleware_stack = Yielding(app.router.middleware_stack, theirs)
    return app


def begin_shutdown(app: FastAPI) -> None:
    """Cut streams off after their page, so that their clients go on at another replica; harmless before the start."""
    services = getattr(app.state, "services", None)
    if services is not None:
        services.hub.close()
        services.custom_routes.close()
