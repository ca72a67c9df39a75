"""An Agent's revisions: the templates that its runners were made from, kept as ControllerRevisions. Pure.

```
  current ──another template──▶ replaced ──pinDeadlineSeconds──▶ its open threads migrate ──▶ deleted, the oldest first
     ▲                             │
     └──────── a rollback ─────────┘
```
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from relayrun_core.kinds import API_VERSION
from relayrun_core.kinds.agent import UpdateStrategy
from relayrun_operator.kube import names
from relayrun_operator.kube.conditions import seconds, timestamp

Object = dict[str, Any]

#: How many replaced revisions are kept that no thread needs.
HISTORY = 10


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision. `name` is the template's hash; times are Unix seconds. `kept`: the API server has it."""

    name: str
    number: int
    spec: Object
    created_at: float
    replaced_at: float | None = None
    kept: bool = False


def pin_ends_at(revision: Revision, strategy: UpdateStrategy) -> float | None:
    """Until when the revision keeps its open threads; None: it does not."""
    if strategy.threads != "Pin" or revision.replaced_at is None:
        return None
    return revision.replaced_at + strategy.pin_deadline_seconds


def pinned(revisions: Collection[Revision], strategy: UpdateStrategy, now: float) -> list[Revision]:
    """The replaced revisions that keep their open threads."""
    ends = ((revision, pin_ends_at(revision, strategy)) for revision in revisions)
    return [revision for revision, end in ends if end is not None and now < end]


def superfluous(revisions: Collection[Revision], strategy: UpdateStrategy, now: float) -> list[Revision]:
    """Those to be deleted: replaced, needed by no thread any more, and older than the history."""
    needed = {revision.name for revision in pinned(revisions, strategy, now)}
    old = [entry for entry in revisions if entry.replaced_at is not None and entry.name not in needed]
    return sorted(old, key=lambda revision: revision.replaced_at or 0.0, reverse=True)[HISTORY:]


def pool_name(agent: str, revision: str) -> str:
    """What the pool of a replaced revision is called."""
    return f"{agent}@{revision}"


def agent_of_pool(pool: str) -> str:
    """The key of the Agent whose pool it is."""
    return pool.partition("@")[0]


def object_name(agent: str, revision: str) -> str:
    """A ControllerRevision's name."""
    return f"{agent}-{revision}"


def controller_revision(agent: Object, revision: Revision) -> Object:
    """What is kept of a revision; it goes with its Agent."""
    name = agent["metadata"]["name"]
    owner = {"apiVersion": API_VERSION, "kind": "Agent", "name": name, "uid": agent["metadata"]["uid"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": object_name(name, revision.name),
            "namespace": agent["metadata"]["namespace"],
            "labels": {
                "app.kubernetes.io/name": "relayrun",
                names.MANAGED_LABEL: names.MANAGER,
                names.AGENT_LABEL: name,
                names.TEMPLATE_LABEL: revision.name,
            },
            "annotations": {key: text for key, text in annotations_of(revision).items() if text is not None},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        "data": {"spec": revision.spec},
        "revision": revision.number,
    }


def annotations_of(revision: Revision) -> dict[str, str | None]:
    """Its annotations; None takes one away."""
    return {names.REPLACED_AT: None if revision.replaced_at is None else timestamp(revision.replaced_at)}


def parse_revision(body: Mapping[str, Any]) -> tuple[str, Revision]:
    """The key of the Agent and the revision of a ControllerRevision. Raises KeyError for one that is not ours."""
    metadata = body["metadata"]
    labels = metadata["labels"]
    replaced = (metadata.get("annotations") or {}).get(names.REPLACED_AT)
    return f"{metadata['namespace']}/{labels[names.AGENT_LABEL]}", Revision(
        labels[names.TEMPLATE_LABEL],
        int(body["revision"]),
        dict(body["data"]["spec"]),
        seconds(metadata.get("creationTimestamp")) or 0.0,
        seconds(replaced),
        kept=True,
    )
