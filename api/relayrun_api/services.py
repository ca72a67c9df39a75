"""The services of one API process, as routes get them. `relayrun_api.wiring` makes them.

Their types come from the rooms above this one, and are imported for the type checker alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import Request

if TYPE_CHECKING:
    from relayrun_api.assistants.drawings import DrawingService
    from relayrun_api.assistants.lookup import AssistantLookup
    from relayrun_api.assistants.service import AssistantService
    from relayrun_api.crons.service import CronService
    from relayrun_api.custom_routes.service import CustomRoutes
    from relayrun_api.http.shares import Reads, Shares
    from relayrun_api.metrics import Metrics
    from relayrun_api.runners.author_handlers import AuthorHandlers
    from relayrun_api.runners.client import Runners, RunnerSource
    from relayrun_api.runners.dispatch import Dispatcher
    from relayrun_api.runners.graphs import GraphCatalog
    from relayrun_api.runners.starting import Starting
    from relayrun_api.runs.cancellation import CancelService
    from relayrun_api.runs.service import RunService
    from relayrun_api.settings import ApiSettings
    from relayrun_api.store.service import StoreService
    from relayrun_api.streaming.hub import EventHub
    from relayrun_api.system.status import ClusterChecks, StatusService
    from relayrun_api.threads.states import StateService
    from relayrun_core.database import Database
    from relayrun_core.graph_names import Claimant


@dataclass(frozen=True)
class World:
    """What differs between a cluster and local mode: how runs reach a runner, and what can be seen of that."""

    dispatcher: Dispatcher
    runners: RunnerSource
    checks: ClusterChecks
    #: Returns the revisions of the named agent, as its status lists them; the current one has `current`.
    revisions: Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]
    #: Returns those of the named agents that exist; None while that is not known.
    claimants: Callable[[Collection[str]], Awaitable[Mapping[str, Claimant] | None]]


@dataclass(frozen=True)
class Services:
    """All services. Routes take them as `Given`."""

    settings: ApiSettings
    database: Database
    reads: Reads
    hub: EventHub
    catalog: GraphCatalog
    assistants: AssistantService
    assistant_lookup: AssistantLookup
    drawings: DrawingService
    runners: Runners
    runs: RunService
    cancels: CancelService
    dispatcher: Dispatcher
    crons: CronService
    custom_routes: CustomRoutes
    handlers: AuthorHandlers
    starting: Starting
    states: StateService
    store: StoreService
    revisions: Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]
    status: StatusService
    metrics: Metrics
    shares: Shares


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Given = Annotated[Services, Depends(_services)]
