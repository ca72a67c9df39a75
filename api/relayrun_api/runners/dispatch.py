"""Dispatches accepted runs to the part that places them. The rows are the truth; dispatching only saves time."""

from typing import Any, Protocol
from uuid import UUID

from relayrun_core.db.threads import DeletedRun
from relayrun_core.runs import NewRun, Run


class Dispatcher(Protocol):
    """Tells the world about a run that is in the database already; the reconciler repeats what a crash cut short."""

    async def defaults(self, agent: str) -> dict[str, Any]:
        """What the agent gives to runs that say nothing themselves, as fields of a RunSpec."""
        ...

    async def created(self, run: NewRun | Run) -> None:
        """A run was accepted, or its time has come."""
        ...

    async def cancel_requested(self, run_id: UUID) -> None:
        """A run's cancel was accepted."""
        ...

    async def deleted(self, run: DeletedRun) -> None:
        """A run was deleted before it had ended: nothing of it is wanted any more."""
        ...


class LocalDispatcher:
    """Local mode: the world listens to the database, and core has notified it."""

    async def defaults(self, agent: str) -> dict[str, Any]:  # noqa: ARG002 - the protocol's
        """Local agents have none of their own."""
        return {}

    async def created(self, run: NewRun | Run) -> None:
        """Nothing more to do."""

    async def cancel_requested(self, run_id: UUID) -> None:
        """Nothing more to do."""

    async def deleted(self, run: DeletedRun) -> None:
        """Nothing more to do."""
