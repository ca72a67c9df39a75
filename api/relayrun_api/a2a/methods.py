"""A2A's methods on behalf of a caller, at one assistant."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from relayrun_api.a2a import permissions, receivers
from relayrun_api.a2a.dialects import METHODS, Version, streamed, told, understood
from relayrun_api.a2a.models import ListParams, Receiver, ReceiverParams, SendParams, TaskParams
from relayrun_api.a2a.notifications import told_config
from relayrun_api.a2a.rpc import Code, RpcError, RpcRequest, checked, result
from relayrun_api.a2a.sending import Sending, admitted_for
from relayrun_api.a2a.streams import Call, task_ending, task_stream
from relayrun_api.a2a.tasks import Task, find_task, snapshot, task_of_run
from relayrun_api.assistants.lookup import Assistant
from relayrun_api.auth import Principal
from relayrun_api.auth.permissions import Permission
from relayrun_api.http.rate_limit import subject_of
from relayrun_api.http.responses import Json
from relayrun_api.services import Services
from relayrun_api.streaming.sse import position_after
from relayrun_core.db.a2a import cancel_waiting, receivers_of, remove_receiver
from relayrun_core.db.starting import Terms
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
        self._sending = Sending(services, request, caller, assistant, terms)
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
        started = await self._sending.started(params, version)
        call = Call(self._services, request.id, version, configuration.history_length)
        if configuration.waits:
            return task_ending(call, started, lambda task: streamed(version, task))
        started.subscription.close()
        task = await task_of_run(self._services.database, started.run_id)
        now, _ = await snapshot(self._services.database, task, history=configuration.history_length)
        return Json(result(request.id, streamed(version, now)), headers=dict(started.headers))

    async def _stream(self, request: RpcRequest, version: Version) -> Response:
        params = _send_params(request, version)
        started = await self._sending.started(params, version)
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
                Code.TASK_NOT_CANCELABLE, f"Task {params.id} has ended: there is nothing to cancel."
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
                Code.UNSUPPORTED_OPERATION,
                f"Task {params.id} has ended, and its state does not change any more: read it with GetTask.",
            )
        return task_stream(Call(self._services, request.id, version), task, self._services.runs.join(task.last), after)

    async def _list(self, request: RpcRequest, version: Version) -> Response:
        params = checked(ListParams, request.params)
        caller = await admitted_for(self._request, self._caller, permissions.list_tasks, None)
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
        caller = await admitted_for(self._request, self._caller, permission, ids)
        # What an author's handler lets it see is known only now.
        return (
            task
            if caller is self._caller
            else await find_task(self._services, caller, task_id, self._assistant.assistant_id)
        )


def _send_params(request: RpcRequest, version: Version) -> SendParams:
    given = request.params
    message = given.get("message")
    if isinstance(message, dict):
        given = {**given, "message": understood(version, message)}
    return checked(SendParams, given)
