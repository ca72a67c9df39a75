"""Push notifications: who is told that a task has ended or asks, and what. They leave by the outbox of webhooks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from relayrun_api.a2a.dialects import Json, Version, streamed
from relayrun_api.a2a.models import Receiver
from relayrun_api.a2a.tasks import MESSAGE, Task, time_of
from relayrun_api.a2a.translator import question_message, state_of_run
from relayrun_api.http.responses import dumps
from relayrun_api.runs.ending import webhook_body
from relayrun_core.db.outbox import Delivery

# Two names are in use: that of the Python and JavaScript SDKs, and that of Go's.
_TOKEN_HEADERS = ("X-A2A-Notification-Token", "A2A-Notification-Token")


def is_told(task: Task) -> bool:
    """Whether a task's end is told to receivers: it was begun by a message."""
    return MESSAGE in task.runs[0].spec.metadata


def config_of(task: Task, receiver: Receiver, version: Version) -> Json:
    """What is kept of a receiver: what was sent, in the form of 1.0, and what its notifications need.

    One without an id is known by its address: a message that is sent again, or the next one, names no other receiver.
    """
    identity = receiver.id or str(uuid5(UUID(task.task_id), receiver.url))
    sent: Json = {"id": identity, "taskId": task.task_id, "url": receiver.url}
    if receiver.token:
        sent["token"] = receiver.token
    if (asks := receiver.authentication) is not None:
        scheme = asks.scheme or next(iter(asks.schemes), "")
        sent["authentication"] = {"scheme": scheme, "credentials": asks.credentials or ""}
    return {"sent": sent, "version": version, "contextId": task.context_id}


def told_config(version: Version, config: Json) -> Json:
    """A receiver as it is told to its owner."""
    sent: Json = config["sent"]
    if version == "1.0":
        return sent
    mine = {name: value for name, value in sent.items() if name != "taskId"}
    if "authentication" in sent:
        asks = sent["authentication"]
        mine["authentication"] = {"schemes": [asks["scheme"]], "credentials": asks["credentials"]}
    return {"taskId": sent["taskId"], "pushNotificationConfig": mine}


def notification(delivery: Delivery, now: datetime) -> tuple[bytes, Mapping[str, str]]:
    """The body of a webhook or of a push notification, and its headers."""
    if delivery.push is None:
        return webhook_body(delivery, now), {}
    config: dict[str, Any] = delivery.push
    return dumps(_body(delivery, config)), _headers(config["sent"])


def _body(delivery: Delivery, config: Json) -> Json:
    """How the task is: an update of its status in 1.0, the task in 0.3. Its artifacts are read from the task."""
    run, task_id, context_id = delivery.run(), config["sent"]["taskId"], config["contextId"]
    asked = [{"id": entry.id, "value": entry.value} for entry in delivery.interrupts()]
    state = state_of_run(run.status, run.reason, asked)
    status: Json = {"state": state, "timestamp": time_of(run.finished_at or run.updated_at)}
    if state.endswith("-required"):
        status["message"] = question_message(task_id, context_id, str(run.run_id), asked)
    if config["version"] == "0.3":
        return {"kind": "task", "id": task_id, "contextId": context_id, "status": status}
    return streamed("1.0", {"kind": "status-update", "taskId": task_id, "contextId": context_id, "status": status})


def _headers(sent: Json) -> Mapping[str, str]:
    headers: dict[str, str] = dict.fromkeys(_TOKEN_HEADERS, str(sent["token"])) if "token" in sent else {}
    asks = sent.get("authentication") or {}
    if asks.get("scheme") and asks.get("credentials"):
        headers["Authorization"] = f"{asks['scheme']} {asks['credentials']}"
    return headers
