"""A2A's methods about push notifications, and lists of tasks."""

import re
from uuid import UUID

from relayrun_api.a2a.dialects import Json, Version, state_of, told
from relayrun_api.a2a.models import ListParams, Receiver
from relayrun_api.a2a.notifications import config_of, is_told, told_config
from relayrun_api.a2a.rpc import Code, RpcError
from relayrun_api.a2a.tasks import TASK, Task, snapshot, task_of
from relayrun_api.auth import Principal
from relayrun_api.http.errors import RunNotFound
from relayrun_api.runs.search_models import decode_cursor, encode_cursor
from relayrun_api.services import Services
from relayrun_api.threads.service import refer
from relayrun_api.webhooks.rules import WebhookRules
from relayrun_core.db.a2a import MOST_RECEIVERS, add_receiver, receivers_of
from relayrun_core.db.run_search import Cursor, RunQuery, search_runs
from relayrun_core.db.runs import get_runs

_COUNT = re.compile(r"[0-9]{1,9}")


async def add(services: Services, task: Task, receiver: Receiver, version: Version) -> Json:
    """Have somebody told of a task's end. Raises RpcError, and Invalid for an address that is not called."""
    if not is_told(task):
        raise RpcError(
            Code.PUSH_NOT_SUPPORTED, "This task was not started by a message: set a `webhook` when you start its run."
        )
    WebhookRules.of(services.settings).check(receiver.url)
    config = config_of(task, receiver, version)
    identity = config["sent"]["id"]
    if config in await receivers_of(services.database, task.runs[0].run_id):
        return told_config(version, config)  # it has been told, or will be
    newest = task.last.run_id
    if not await add_receiver(services.database, task.runs[0].run_id, newest, identity, receiver.url, config):
        raise RpcError(Code.INVALID_PARAMS, f"A task has at most {MOST_RECEIVERS} receivers: delete one.")
    return told_config(version, config)


async def one(services: Services, task: Task, receiver_id: str | None, version: Version) -> Json:
    """A receiver; the first one where none is named. Raises RpcError."""
    for config in await receivers_of(services.database, task.runs[0].run_id):
        if receiver_id in (None, config["sent"]["id"]):
            return told_config(version, config)
    raise RpcError(Code.TASK_NOT_FOUND, f"Task {task.task_id} has no such receiver: list the receivers.")


async def listed(
    services: Services, caller: Principal, reader: str, assistant_id: UUID, params: ListParams, version: Version
) -> Json:
    """A page of the caller's tasks at an assistant, newest first.

    `totalSize` is what is known of it: the tasks until here, and one more where there are more.
    """
    count, after = _place_of(params.page_token or "0.")
    scope = caller.scope("threads")
    thread = await refer(services.database, caller, params.context_id) if params.context_id else None
    query = RunQuery(
        owner=scope.owner,
        any_owner=scope.any_owner,
        thread_id=thread.thread_id if thread else None,
        assistant_id=assistant_id,
        visible=scope.visible,
    )
    async with services.reads.by(reader) as database:
        found = await search_runs(database, query, limit=params.page_size, after=after)
        wanted = [run.run_id for run in found.runs if TASK not in run.metadata]
        runs = {run.run_id: run for run in await get_runs(database, wanted)}
        tasks: list[Json] = []
        for run_id in wanted:
            try:
                task = await task_of(database, runs[run_id])
            except (KeyError, RunNotFound):
                continue  # deleted meanwhile
            artifacts = params.include_artifacts
            tasks.append((await snapshot(database, task, history=params.history_length, artifacts=artifacts))[0])
    state = state_of(params.status) if params.status else None
    kept = [told(version, task) for task in tasks if state in (None, task["status"]["state"])]
    count += len(kept)
    token = f"{count}.{encode_cursor(found.next)}" if found.next else ""
    return {"tasks": kept, "nextPageToken": token, "pageSize": params.page_size, "totalSize": count + bool(token)}


def _place_of(token: str) -> tuple[int, Cursor | None]:
    """How many tasks are before a page, and behind what it begins. Raises RpcError."""
    before, _, cursor = token.partition(".")
    wrong = RpcError(Code.INVALID_PARAMS, "`pageToken` is invalid: send `nextPageToken` unchanged.")
    if not _COUNT.fullmatch(before):
        raise wrong
    try:
        return int(before), decode_cursor(cursor) if cursor else None
    except ValueError as error:
        raise wrong from error
