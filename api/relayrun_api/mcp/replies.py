"""What clients say that has no answer: that a call is cancelled, and what its user says to a question."""

from contextlib import suppress

from fastapi import Request

from relayrun_api.auth import Principal
from relayrun_api.auth.admission import admitted_for
from relayrun_api.mcp import permissions
from relayrun_api.mcp.calls import Call
from relayrun_api.mcp.errors import INVALID_PARAMS, McpError
from relayrun_api.mcp.messages import Dialect, Message
from relayrun_api.mcp.starts import Starts, call_key
from relayrun_api.mcp.stream import DECLINED
from relayrun_api.services import Services
from relayrun_core.db.notify import notify_thread
from relayrun_core.db.runs import list_runs
from relayrun_core.db.starting import run_of_key
from relayrun_core.db.threads import patch_thread
from relayrun_core.errors import RunFinished
from relayrun_core.ids import uuid_of
from relayrun_core.runs import Run
from relayrun_core.states import CancelAction, RunStatus

_OTHERS = 100


class Replies:
    """Takes one message."""

    def __init__(
        self, request: Request, services: Services, caller: Principal, message: Message, dialect: Dialect
    ) -> None:
        self._request = request
        self._services = services
        self._caller = caller
        self._message = message
        self._dialect = dialect

    async def take(self) -> None:
        """Do what it says. Raises McpError for an answer to what nobody asked, and what a start does."""
        if self._message.method is None:
            await self._answer()
        elif self._message.method == "notifications/cancelled" and self._dialect.session is not None:
            await self._cancel(self._dialect.session)

    async def _cancel(self, session: str) -> None:
        """Cancel the call; what is not known, or has ended, is left."""
        asked = self._message.params.get("requestId")
        if not isinstance(asked, str | int):
            return
        run_id = await run_of_key(self._services.database, self._caller.owner or "", call_key(session, asked))
        if run_id is None:
            return
        run = await self._services.runs.visible(self._caller, run_id)
        checks = permissions.cancel_call(str(run.thread_id), str(run.run_id))
        await admitted_for(self._request, self._caller, checks)
        # The call may have gone on with runs that took its user's answers.
        later = [
            one
            for one in await list_runs(self._services.database, run.thread_id, limit=_OTHERS)
            if one.number >= run.number
        ]
        for one in later:
            if not one.status.finished:
                with suppress(RunFinished):
                    await self._services.cancels.cancel(one, CancelAction.INTERRUPT)
        if later and later[0].status is RunStatus.INTERRUPTED:
            await self._decline(later[0])

    async def _answer(self) -> None:
        """What the user says to a question: `id` names the run that asks, and its question."""
        run_id, _, question = str(self._message.id).partition(".")
        asking = uuid_of(run_id)
        if asking is None:
            raise McpError(INVALID_PARAMS, "There was no request with this `id`.")
        run = await self._services.runs.visible(self._caller, asking)
        result = self._message.body.get("result")
        if isinstance(result, dict) and result.get("action") == "accept":
            call = Call.of(run) or Call(self._message.id or 0)
            starts = Starts(self._request, self._services, self._caller, "", self._message, self._dialect)
            content = result.get("content")
            contents = {question: content if isinstance(content, dict) else {}}
            if await starts.to_question(call, run, contents) is None:
                raise McpError(INVALID_PARAMS, "There was no request with this `id`.")
            return
        await admitted_for(self._request, self._caller, permissions.decline(str(run.thread_id)))
        await self._decline(run)

    async def _decline(self, asking: Run) -> None:
        """End the answers that wait for what the user says to this run's questions."""
        await patch_thread(self._services.database, asking.thread_id, {DECLINED: str(asking.run_id)})
        await notify_thread(self._services.database, asking.thread_id)
