"""Messages to agents: each is a run, or the answer to a task's question, once however often it is sent."""

import hashlib
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import Request

from relayrun_api.a2a import permissions, receivers
from relayrun_api.a2a.dialects import Json, Version
from relayrun_api.a2a.models import Message, SendParams
from relayrun_api.a2a.parts import answer_of, input_of
from relayrun_api.a2a.rpc import Code, RpcError
from relayrun_api.a2a.tasks import MESSAGE, TASK, Task, find_task, questions_of, snapshot, task_of, task_of_run
from relayrun_api.a2a.translator import TERMINAL
from relayrun_api.assistants.lookup import Assistant
from relayrun_api.auth import Principal
from relayrun_api.auth.admission import admitted_on
from relayrun_api.auth.custom import CustomAuth
from relayrun_api.auth.permissions import Permission
from relayrun_api.chat.translator import CHAT_MODES
from relayrun_api.http.errors import Unauthenticated
from relayrun_api.runs.models import RunCreate
from relayrun_api.runs.service import StartedRun, StartRun
from relayrun_api.runs.specs import spec_of_run
from relayrun_api.services import Services
from relayrun_api.threads.service import ThreadRef, find_thread, refer
from relayrun_api.webhooks.rules import WebhookRules
from relayrun_core.db.runs import list_runs
from relayrun_core.db.starting import OnceKey, Terms


class Sending:
    """Accepts one caller's message to an assistant."""

    def __init__(
        self, services: Services, request: Request, caller: Principal, assistant: Assistant, terms: Terms
    ) -> None:
        self._services = services
        self._request = request
        self._caller = caller
        self._assistant = assistant
        self._terms = terms

    async def started(self, params: SendParams, version: Version) -> StartedRun:
        """The run that a message asks for, whose receiver is known before it is answered."""
        receiver = params.configuration.receiver
        if receiver is not None:
            WebhookRules.of(self._services.settings).check(receiver.url)
        started = await self._accepted(params)
        if receiver is not None:
            try:
                task = await task_of_run(self._services.database, started.run_id)
                await receivers.add(self._services, task, receiver, version)
            except BaseException:
                started.subscription.close()
                raise
        return started

    async def _accepted(self, params: SendParams) -> StartedRun:
        message, database = params.message, self._services.database
        task = await self._addressed(message)
        if task is not None:
            thread = ThreadRef(task.thread.thread_id, str(task.thread.thread_id), None)
            asked = await self._answering(task, message)
        else:
            context = message.context_id
            thread = await refer(database, self._caller, context) if context else _new_thread()
            given = input_of(message.parts, message.message_id, takes_messages=self._assistant.takes_messages)
            asked = {"input": given}
        mine = {MESSAGE: message.message_id, **({TASK: task.task_id} if task else {})}
        body: dict[str, Any] = {
            **asked,
            "assistant_id": str(self._assistant.assistant_id),
            "metadata": mine,
            "thread_id": thread.sent,
        }
        caller = await admitted_for(self._request, self._caller, permissions.new_message, body)
        body.pop("thread_id", None)
        assistant = await self._services.assistant_lookup.placed(self._assistant, thread.thread_id)
        spec = spec_of_run(
            RunCreate.model_validate(body).model_copy(update={"stream_subgraphs": True}), assistant, CHAT_MODES
        )
        start = StartRun(
            assistant, spec, thread, if_not_exists="reject" if task else "create", mark=caller.metadata or {}
        )
        return await self._services.runs.start(caller, start, self._once(message))

    async def _addressed(self, message: Message) -> Task | None:
        """The task that a message goes on with: the one it names, or the one that its conversation waits for."""
        services, mine = self._services, self._assistant.assistant_id
        if message.task_id:
            task = await find_task(services, self._caller, message.task_id, mine)
            named = message.context_id
            if named is not None and named not in (task.context_id, str(task.thread.thread_id)):
                raise RpcError(
                    Code.INVALID_PARAMS, f"Task {message.task_id} is not of context {named!r}: leave `contextId` out."
                )
            return task
        if not message.context_id:
            return None
        thread = await find_thread(
            services.database, self._caller, await refer(services.database, self._caller, message.context_id)
        )
        if thread is None or thread.status != "interrupted":
            return None
        newest = await list_runs(services.database, thread.thread_id, limit=1)
        if not newest or newest[0].assistant_id != mine:
            return None
        task = await task_of(services.database, newest[0])
        return task if task.waiting else None

    async def _answering(self, task: Task, message: Message) -> Json:
        """What a run is given that answers the task's questions. A message sent again is found by its id, later."""
        if not task.waiting:
            before = await self._answered_by(task, message)
            if before is not None:
                return {"command": {"resume": before}}
            state = (await snapshot(self._services.database, task, artifacts=False))[0]["status"]["state"]
            way = "send a new one without `taskId`" if state in TERMINAL else "wait for it, or cancel it"
            raise RpcError(Code.UNSUPPORTED_OPERATION, f"Task {task.task_id} is {state} and takes no message: {way}.")
        questions = [str(entry.get("id")) for entry in await questions_of(self._services.database, task.last)]
        answer = answer_of(message.parts)
        match questions:
            case []:
                return {"input": None}  # a pause in front of a step: it goes on
            case [question]:
                return {"command": {"resume": {question: answer}}}
            case _:
                if isinstance(answer, dict) and answer and answer.keys() <= set(questions):
                    return {"command": {"resume": answer}}
                raise RpcError(
                    Code.INVALID_PARAMS,
                    f"The task asks several things: answer with one data part, an object with {', '.join(questions)}.",
                )

    async def _answered_by(self, task: Task, message: Message) -> Any:
        """Not None where this very message has answered the task before, so that its start is a replay."""
        known = message.message_id and any(
            run.spec.metadata.get(MESSAGE) == message.message_id and run is not task.runs[0] for run in task.runs
        )
        return answer_of(message.parts) if known else None

    def _once(self, message: Message) -> Terms:
        """A message is one run, however often it is sent: its id is the idempotency key."""
        if not message.message_id:
            return self._terms
        scope = [str(self._assistant.assistant_id), message.task_id, message.context_id, message.message_id]
        key = "a2a-" + hashlib.sha256(orjson.dumps(scope)).hexdigest()
        fingerprint = hashlib.sha256(orjson.dumps(message.model_dump(), option=orjson.OPT_SORT_KEYS)).digest()
        return replace(self._terms, once=OnceKey(self._caller.owner or "", key, fingerprint))


async def admitted_for(request: Request, caller: Principal, permission: Permission, body: Any) -> Principal:
    """The caller, for what it turns out to ask: an author's handlers are asked now, and may change the body."""
    authenticator = request.app.state.authenticator
    if not isinstance(authenticator, CustomAuth):
        return caller
    admitted = await admitted_on(authenticator, request, permission, body)
    if admitted is None:
        raise Unauthenticated("Authenticate: send `Authorization: Bearer` with your token, or your key.")
    return admitted


def _new_thread() -> ThreadRef:
    thread_id = uuid4()
    return ThreadRef(thread_id, str(thread_id), None)
