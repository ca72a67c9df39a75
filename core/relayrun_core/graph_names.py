"""Which Agent a graph's name stands for, where several offer the graph. Pure: operator and API decide alike.

The oldest Agent has the plain name, together with the Agents of its traffic group. Every other one is `agent/graph`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Claimant:
    """An Agent that offers a graph. `created_at`: its `metadata.creationTimestamp`; None where there is no object."""

    agent: str
    created_at: datetime | None = None


def holders(claimants: Iterable[Claimant]) -> tuple[Claimant, ...]:
    """Those of a graph's claimants that its plain name stands for, the oldest first; of equal age by name."""
    ordered = sorted(claimants, key=lambda claimant: (claimant.created_at or _BEFORE_ALL, claimant.agent))
    return tuple(ordered[:1])


def full_name(agent: str, graph: str) -> str:
    """What always means this Agent's graph."""
    return f"{agent}/{graph}"
