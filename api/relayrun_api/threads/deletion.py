"""Threads that are forgotten with whatever still runs on them."""

from contextlib import suppress
from uuid import UUID

from relayrun_api.auth import Scope
from relayrun_api.runners.dispatch import Dispatcher
from relayrun_core.database import Database
from relayrun_core.db.assistant_search import threads_of_assistant
from relayrun_core.db.assistants import AssistantRow
from relayrun_core.db.threads import delete_thread
from relayrun_core.errors import ThreadNotFound


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
            with suppress(ThreadNotFound):
                await forget_thread(database, dispatcher, thread_id)
