"""Threads that go with their assistant: their runs are ended, and then they are forgotten."""

from contextlib import suppress

from relayrun_api.auth import Scope
from relayrun_api.services.assistant_lookup import Assistant
from relayrun_api.services.cancelling import CancelService
from relayrun_core.database import Database
from relayrun_core.errors import RunFinished, RunNotFound, ThreadNotFound
from relayrun_core.runs import Outcome
from relayrun_core.states import CancelAction, Reason, RunStatus
from relayrun_core.store.assistant_search import threads_of_assistant
from relayrun_core.store.finish import finish_from_outside
from relayrun_core.store.runs import list_runs
from relayrun_core.store.threads import delete_thread

_UNFINISHED = [status for status in RunStatus if not status.finished]
_ENDED = Outcome(Reason.CANCELLED, "the run's thread was deleted with its assistant")


async def forget_threads(database: Database, cancels: CancelService, assistant: Assistant, scope: Scope) -> None:
    """Forget the threads of the assistant's owner that it was last used on, as far as the caller sees them.

    Whoever is cut short asks again.

    Raises core's ThreadBusyError for a thread on which a run starts just then.
    """
    owner = assistant.row.owner
    if not (scope.any_owner or scope.owner == owner):
        return
    while threads := await threads_of_assistant(database, assistant.assistant_id, owner=owner, visible=scope.visible):
        for thread_id in threads:
            for run in await list_runs(database, thread_id, status=_UNFINISHED, limit=1000):
                with suppress(RunFinished, RunNotFound):
                    await cancels.cancel(run, CancelAction.INTERRUPT)
                    # Not when its runner hears of it: nothing of the run is wanted any more, and it can write no more.
                    await finish_from_outside(database, run.run_id, _ENDED)
            with suppress(ThreadNotFound):
                await delete_thread(database, thread_id)
