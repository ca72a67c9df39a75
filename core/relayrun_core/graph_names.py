"""Which Agents a graph's name stands for, where several offer the graph. Pure: operator and API decide alike.

The oldest Agent has the plain name, together with the Agents of its traffic group. Every other one is `agent/graph`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Claimant:
    """An Agent that offers a graph. `created_at`: its `metadata.creationTimestamp`; None where there is no object.

    `group` and `weight` are its `spec.traffic`, `revision` its current one; `pins`: open threads keep theirs.
    """

    agent: str
    created_at: datetime | None = None
    group: str | None = None
    weight: int = 100
    revision: str | None = None
    pins: bool = False


def holders(claimants: Iterable[Claimant]) -> tuple[Claimant, ...]:
    """Those of a graph's claimants that its plain name stands for, the oldest first; of equal age by name."""
    ordered = sorted(claimants, key=lambda claimant: (claimant.created_at or _BEFORE_ALL, claimant.agent))
    first = ordered[:1]
    if not first or first[0].group is None:
        return tuple(first)
    return tuple(claimant for claimant in ordered if claimant.group == first[0].group)


def drawn(sharing: Sequence[Claimant], key: str) -> Claimant | None:
    """The Agent that something new with this key goes to, by weight; None where every weight is 0.

    The same key and weights give the same one: requests that are repeated or race agree.
    """
    total = sum(claimant.weight for claimant in sharing)
    if total == 0:
        return None
    point = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) * total >> 64
    for claimant in sharing:
        point -= claimant.weight
        if point < 0:
            return claimant
    raise AssertionError("a point below the sum of all weights is in one of them")


def full_name(agent: str, graph: str) -> str:
    """What always means this Agent's graph."""
    return f"{agent}/{graph}"
