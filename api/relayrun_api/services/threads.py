"""Threads as a caller sees them: by UUID or by the caller's own name, and only those that exist for it."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from relayrun_api.auth import Principal
from relayrun_api.errors import Invalid, ThreadNotFound
from relayrun_api.models.threads import MAX_NAME
from relayrun_core import errors as core
from relayrun_core.database import Database
from relayrun_core.ids import thread_uuid
from relayrun_core.store.rows import Thread, Ttl
from relayrun_core.store.threads import create_thread, get_thread


@dataclass(frozen=True)
class ThreadRef:
    """A thread that a caller means: `sent` is what it wrote, `name` is set when that is not the id itself."""

    thread_id: UUID
    sent: str
    name: str | None


def refer(principal: Principal, text: str) -> ThreadRef:
    """What thread `text` means for this caller. Raises Invalid for what no thread can be called."""
    if not text or len(text) > MAX_NAME:
        raise Invalid(f"A thread's name has 1 to {MAX_NAME} characters: send a shorter one, or a UUID.")
    thread_id = thread_uuid(principal.owner, text)
    return ThreadRef(thread_id, text, None if _is_uuid(text) else text)


async def make_thread(
    database: Database,
    principal: Principal,
    ref: ThreadRef,
    *,
    metadata: dict[str, Any],
    if_exists: Literal["raise", "do_nothing"],
    ttl: Ttl | None = None,
) -> Thread:
    """A new thread of the caller's. Raises core's ThreadExists, and its ThreadNotFound for somebody else's."""
    if principal.scope("threads").visible is not None:
        existing = await get_thread(database, ref.thread_id)
        if existing is not None and not sees_thread(principal, existing):
            raise core.ThreadNotFound(f"thread {ref.sent} does not exist")
    new: dict[str, Any] = {"name": ref.name, "metadata": metadata, "if_exists": if_exists, "ttl": ttl}
    try:
        return await create_thread(database, ref.thread_id, owner=principal.owner, **new)
    except core.ThreadNotFound:
        existing = await find_thread(database, principal, ref)
        if existing is None:
            raise
        # An admin sees everybody's: for it the thread is one that exists.
        return await create_thread(database, ref.thread_id, owner=existing.owner, **new)


async def visible_thread(database: Database, principal: Principal, ref: ThreadRef) -> Thread:
    """The thread. Raises ThreadNotFound, also when it is somebody else's."""
    if thread := await find_thread(database, principal, ref):
        return thread
    raise ThreadNotFound(f"Thread {ref.sent} does not exist: create it, or look for it with POST /threads/search.")


async def find_thread(database: Database, principal: Principal, ref: ThreadRef) -> Thread | None:
    """The thread, or None when there is none for this caller."""
    thread = await get_thread(database, ref.thread_id)
    return thread if thread is not None and sees_thread(principal, thread) else None


def sees_thread(principal: Principal, thread: Thread) -> bool:
    """Whether the thread exists for this caller."""
    return principal.scope("threads").covers(thread.owner, thread.metadata)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
