"""A2A's methods on behalf of a caller, at one assistant."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import Request
from starlette.responses import Response

from relayrun_api.a2a import permissions, receivers
from relayrun_api.a2a.dialects import METHODS, Version, streamed, told, understood
from relayrun_api.a2a.dialects import Json as JsonObject
from relayrun_api.a2a.models import ListParams, Message, Receiver, ReceiverParams, SendParams, TaskParams
from relayrun_api.a2a.notifications import told_config
from relayrun_api.a2a.parts import answer_of, input_of
from relayrun_api.a2a.rpc import Code, RpcError, RpcRequest, checked, result
from relayrun_api.a2a.streams import Call, task_ending, task_stream
from relayrun_api.a2a.tasks import MESSAGE, TASK, Task, find_task, questions_of, snapshot, task_of, task_of_run
from relayrun_api.a2a.translator import TERMINAL
from relayrun_api.assistants.lookup import Assistant
from relayrun_api.auth import Principal
from relayrun_api.auth.admission import admitted_on
from relayrun_api.auth.custom import CustomAuth
from relayrun_api.auth.permissions import Permission
from relayrun_api.chat.translator import CHAT_MODES
from relayrun_api.http.errors import Unauthenticated
from relayrun_api.http.rate_limit import subject_of
from relayrun_api.http.responses import Json
from relayrun_api.runs.models import RunCreate
from relayrun_api.runs.service import StartedRun, StartRun
from relayrun_api.runs.specs import spec_of_run
from relayrun_api.services import Services
from relayrun_api.streaming.sse import position_after
from relayrun_api.threads.service import ThreadRef, find_thread, refer
from relayrun_api.webhooks.rules import WebhookRules
from relayrun_core.db.a2a import cancel_waiting, receivers_of, remove_receiver
from relayrun_core.db.runs import list_runs
from relayrun_core.db.starting import OnceKey, Terms
from relayrun_core.errors import RunFinished
from relayrun_core.states import CancelAction

Method = Callable[[RpcRequest, Version], Awaitable[Response]]


class Methods:
    """Carries out one caller's call."""

    def __init__(
        self, services: Services, request: Request, caller: Principal, assistant: Assistant, terms: Terms
    ) -> None:
        self._services = services
        self._request = request
        self._caller = caller
        self._assistant = assistant
        self._terms = terms
        self._by_name: Mapping[str, Method] = {
            "SendMessage": self._send,
            "SendStreamingMessage": self._stream,
            "GetTask": self._get,
            "CancelTask": self._cancel,
            "SubscribeToTask": self._subscribe,
            "ListTasks": self._list,
            "CreateTaskPushNotificationConfig": self._add_receiver,
            "GetTaskPushNotificationConfig": self._get_receiver,
            "ListTaskPushNotificationConfigs": self._list_receivers,
            "DeleteTaskPushNotificationConfig": self._remove_receiver,
        }

    async def carry_out(self, request: RpcRequest) -> Response:
        """Do what a call asks. Raises RpcError, and the API's errors."""
        name, version = METHODS.get(request.method, ("", "1.0"))
        method = self._by_name.get(name)
        if method is None:
            raise RpcError(Code.METHOD_NOT_FOUND, f"There is no method {request.method!r}: use {', '.join(METHODS)}.")
        return await method(request, version)

    async def _send(self, request: RpcRequest, version: Version) -> Response:
        params = _send_params(request, version)
        configuration = params.configuration
        started = await self._started(params, version)
        call = Call(self._services, request.id, version, configuration.history_length)
        if configuration.waits:
            return task_ending(call, started, lambda task: streamed(version, task))
        started.subscription.close()
        task = await task_of_run(self._services.database, started.run_id)
        now, _ = await snapshot(self._services.database, task, history=configuration.history_length)
        return Json(result(request.id, streamed(version, now)), headers=dict(started.headers))

    async def _stream(self, request: RpcRequest, version: Version) -> Response:
        params = _send_params(request, version)
        started = await self._started(params, version)
        call = Call(self._services, request.id, version, params.configuration.history_length)
        task = await task_of_run(self._services.database, started.run_id)
        return task_stream(call, task, started)

    async def _get(self, request: RpcRequest, version: Version) -> Response:
        params = checked(TaskParams, request.params)
        task = await self._found(params.id, permissions.read_task)
        now, _ = await snapshot(self._services.database, task, history=params.history_length)
        return Json(result(request.id, told(version, now)))

    async def _cancel(self, request: RpcRequest, version: Version) -> Response:
        params = checked(TaskParams, request.params)
        task = await self._found(params.id, permissions.cancel_task)
        if task.waiting:
            await cancel_waiting(self._services.database, task.runs[0].run_id)
            now, _ = await snapshot(self._services.database, replace(task, canceled=True))
            return Json(result(request.id, told(version, now)))
        try:
            await self._services.cancels.cancel(task.last, CancelAction.INTERRUPT)
        except RunFinished as error:
            raise RpcError(
                Code.TASK_NOT_CANCELABLE, f"Task {params.id} works at nothing any more: there is nothing to cancel."
            ) from error
        started = self._services.runs.join(task.last)
        return task_ending(Call(self._services, request.id, version), started, lambda now: told(version, now))

    async def _subscribe(self, request: RpcRequest, version: Version) -> Response:
        params = checked(TaskParams, request.params)
        task = await self._found(params.id, permissions.read_task)
        last = self._request.headers.get("last-event-id")
        after = position_after(last, task.last.number) if last else None
        if version == "1.0" and after is None and task.last.status.finished and not task.waiting:
            raise RpcError(
                Code.UNSUPPORTED_OPERATION, f"Task {params.id} has ended, and nothing more happens: read it by GetTask."
            )
        return task_stream(Call(self._services, request.id, version), task, self._services.runs.join(task.last), after)

    async def _list(self, request: RpcRequest, version: Version) -> Response:
        params = checked(ListParams, request.params)
        caller = await self._admitted(permissions.list_tasks, None)
        address = self._request.client.host if self._request.client else None
        reader = subject_of(caller.owner, address)
        found = await receivers.listed(self._services, caller, reader, self._assistant.assistant_id, params, version)
        return Json(result(request.id, found))

    async def _add_receiver(self, request: RpcRequest, version: Version) -> Response:
        given = request.params
        if isinstance(older := given.get("pushNotificationConfig"), dict):
            given = {**older, "taskId": given.get("taskId")}
        receiver = checked(Receiver, given)
        task = await self._found(checked(ReceiverParams, given).task_id, permissions.read_task)
        return Json(result(request.id, await receivers.add(self._services, task, receiver, version)))

    async def _get_receiver(self, request: RpcRequest, version: Version) -> Response:
        params = checked(ReceiverParams, request.params)
        task = await self._found(params.task_id, permissions.read_task)
        return Json(result(request.id, await receivers.one(self._services, task, params.receiver_id, version)))

    async def _list_receivers(self, request: RpcRequest, version: Version) -> Response:
        params = checked(ReceiverParams, request.params)
        task = await self._found(params.task_id, permissions.read_task)
        kept = await receivers_of(self._services.database, task.runs[0].run_id)
        configs = [told_config(version, config) for config in kept]
        return Json(result(request.id, configs if version == "0.3" else {"configs": configs, "nextPageToken": ""}))

    async def _remove_receiver(self, request: RpcRequest, version: Version) -> Response:
        params = checked(ReceiverParams, request.params)
        task = await self._found(params.task_id, permissions.read_task)
        await remove_receiver(self._services.database, task.runs[0].run_id, params.receiver_id or "")
        return Json(result(request.id, None if version == "0.3" else {}))

    async def _found(self, task_id: str, permission: Permission) -> Task:
        """A task that the caller may do this to."""
        task = await find_task(self._services, self._caller, task_id, self._assistant.assistant_id)
        ids = {"thread_id": str(task.last.thread_id), "run_id": str(task.last.run_id)}
        caller = await self._admitted(permission, ids)
        # What an author's handler lets it see is known only now.
        return (
            task
            if caller is self._caller
            else await find_task(self._services, caller, task_id, self._assistant.assistant_id)
        )

    async def _started(self, params: SendParams, version: Version) -> StartedRun:
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
        caller = await self._admitted(permissions.new_message, body)
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

    async def _answering(self, task: Task, message: Message) -> JsonObject:
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

    async def _admitted(self, permission: Permission, body: Any) -> Principal:
        """The caller, for what it turns out to ask: an author's handlers are asked now, and may change the body."""
        authenticator = self._request.app.state.authenticator
        if not isinstance(authenticator, CustomAuth):
            return self._caller
        caller = await admitted_on(authenticator, self._request, permission, body)
        if caller is None:
            raise Unauthenticated("Say who you are: send `Authorization: Bearer` with your token, or your key.")
        return caller


def _new_thread() -> ThreadRef:
    thread_id = uuid4()
    return ThreadRef(thread_id, str(thread_id), None)


def _send_params(request: RpcRequest, version: Version) -> SendParams:
    given = request.params
    message = given.get("message")
    if isinstance(message, dict):
        given = {**given, "message": understood(version, message)}
    return checked(SendParams, given)
