"""Threads as a caller sees them: by UUID or by the caller's own name, and only those that exist for it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path

from relayrun_api.auth import Caller, Principal, Scope
from relayrun_api.http.access_log import note_owner
from relayrun_api.http.errors import Invalid, NoThreadId, ThreadNotFound
from relayrun_api.runners.dispatch import Dispatcher
from relayrun_api.services import Given
from relayrun_api.threads.models import MAX_NAME
from relayrun_core import errors as core
from relayrun_core.database import Database
from relayrun_core.db.assistant_search import threads_of_assistant
from relayrun_core.db.assistants import AssistantRow
from relayrun_core.db.rows import Thread, Ttl
from relayrun_core.db.threads import create_thread, delete_thread, get_thread, is_storable, thread_id_of, thread_ids_of
from relayrun_core.ids import uuid_of


@dataclass(frozen=True)
class ThreadRef:
    """A thread that a caller means: `sent` is what it wrote, `name` is set when that is not the id itself."""

    thread_id: UUID
    sent: str
    name: str | None


async def refer(database: Database, principal: Principal, text: str) -> ThreadRef:
    """What thread `text` means for this caller. Raises Invalid for what no thread can be called."""
    if (thread_id := uuid_of(text)) is not None:
        return ThreadRef(thread_id, text, None)
    if not (0 < len(text) <= MAX_NAME and is_storable(text)):
        raise Invalid(f"A thread's name has 1 to {MAX_NAME} characters, none of them NUL: send another, or a UUID.")
    return ThreadRef(await thread_id_of(database, principal.owner, text), text, text)


async def thread_ids(database: Database, principal: Principal, texts: Sequence[str]) -> list[UUID]:
    """The ids of the threads that the caller means, there or not."""
    return await thread_ids_of(database, principal.owner, texts)


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
            raise core.ThreadNotFound(f"thread with ID {ref.sent} not found")
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
    """The thread. Raises ThreadNotFound, also when it is somebody else's; NoThreadId for no UUID."""
    if thread := await find_thread(database, principal, ref):
        return thread
    if ref.name is not None:
        raise NoThreadId(ref.sent)
    raise ThreadNotFound(f"Thread with ID {ref.sent} not found: create it, or look for it with POST /threads/search.")


async def find_thread(database: Database, principal: Principal, ref: ThreadRef) -> Thread | None:
    """The thread, or None when there is none for this caller."""
    thread = await get_thread(database, ref.thread_id)
    if thread is None or not sees_thread(principal, thread):
        return None
    note_owner(thread.owner)
    return thread


def sees_thread(principal: Principal, thread: Thread) -> bool:
    """Whether the thread exists for this caller."""
    return principal.scope("threads").covers(thread.owner, thread.metadata)


async def forget_thread(database: Database, dispatcher: Dispatcher, thread_id: UUID) -> None:
    """Forget the thread, its checkpoints and runs, unfinished ones too. Raises as core's `delete_thread`."""
    for run in await delete_thread(database, thread_id):
        await dispatcher.deleted(run)


async def forget_threads(database: Database, dispatcher: Dispatcher, assistant: AssistantRow, scope: Scope) -> None:
    """Forget the threads of the assistant's owner that it was last used on, as far as the caller sees them.

    Whoever is cut short asks again. Raises ThreadBusyError as `forget_thread`.
    """
    owner = assistant.owner
    if not (scope.any_owner or scope.owner == owner):
        return
    while threads := await threads_of_assistant(database, assistant.assistant_id, owner=owner, visible=scope.visible):
        for thread_id in threads:
            with suppress(core.ThreadNotFound):
                await forget_thread(database, dispatcher, thread_id)


async def _thread_ref(
    services: Given,
    caller: Caller,
    thread_id: Annotated[str, Path(description="The thread's UUID, or a name that you chose")],
) -> ThreadRef:
    return await refer(services.database, caller, thread_id)


ThreadAt = Annotated[ThreadRef, Depends(_thread_ref)]
