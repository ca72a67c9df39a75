"""How an accepted run reaches the part that places it. The rows are the truth; dispatching only makes it quick."""

from typing import Protocol
from uuid import UUID


class Dispatcher(Protocol):
    """Tells the world about a run that is in the database already; the reconciler repeats what a crash cut short."""

    async def created(self, run_id: UUID) -> None:
        """A run was accepted."""
        ...

    async def cancel_requested(self, run_id: UUID) -> None:
        """A run's cancel was accepted."""
        ...


class LocalDispatcher:
    """Local mode: the world listens to the database, and core has notified it."""

    async def created(self, run_id: UUID) -> None:
        """Nothing more to do."""

    async def cancel_requested(self, run_id: UUID) -> None:
        """Nothing more to do."""
