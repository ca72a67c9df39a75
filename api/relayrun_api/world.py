"""The world an API process is in: how its runs reach a runner, and what can be seen of that."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from relayrun_api.runners.client import RunnerSource
from relayrun_api.runners.dispatch import Dispatcher
from relayrun_api.system.status import ClusterChecks
from relayrun_core.graph_names import Claimant


@dataclass(frozen=True)
class World:
    """What differs between a cluster and a laptop."""

    dispatcher: Dispatcher
    runners: RunnerSource
    checks: ClusterChecks
    claimants: Callable[[Collection[str]], Awaitable[Mapping[str, Claimant] | None]]
    """Those of the agents of these names that there are; None while that is not known."""
