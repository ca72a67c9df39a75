"""The two versions of A2A on the wire. Inside, all is in the form of 0.3; 1.0 is converted at the edge. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

Json = dict[str, Any]
Version = Literal["0.3", "1.0"]

#: Methods by what they are called in 1.0, and in 0.3.
METHODS: Mapping[str, tuple[str, Version]] = {
    "message/send": ("SendMessage", "0.3"),
    "message/stream": ("SendStreamingMessage", "0.3"),
    "tasks/get": ("GetTask", "0.3"),
    "tasks/list": ("ListTasks", "0.3"),
    "tasks/cancel": ("CancelTask", "0.3"),
    "tasks/resubscribe": ("SubscribeToTask", "0.3"),
    "tasks/pushNotificationConfig/set": ("CreateTaskPushNotificationConfig", "0.3"),
    "tasks/pushNotificationConfig/get": ("GetTaskPushNotificationConfig", "0.3"),
    "tasks/pushNotificationConfig/list": ("ListTaskPushNotificationConfigs", "0.3"),
    "tasks/pushNotificationConfig/delete": ("DeleteTaskPushNotificationConfig", "0.3"),
    **{
        name: (name, "1.0")
        for name in (
            "SendMessage",
            "SendStreamingMessage",
            "GetTask",
            "ListTasks",
            "CancelTask",
            "SubscribeToTask",
            "CreateTaskPushNotificationConfig",
            "GetTaskPushNotificationConfig",
            "ListTaskPushNotificationConfigs",
            "DeleteTaskPushNotificationConfig",
        )
    },
}
_STATE = "TASK_STATE_"
_ROLES = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}


def state_of(sent: str) -> str:
    """A task's state in the words of 0.3, from either version's."""
    return sent.removeprefix(_STATE).lower().replace("_", "-")


def told(version: Version, thing: Json) -> Json:
    """A task, message, or event of a stream as this version has it."""
    return thing if version == "0.3" else _NEWER[thing["kind"]](thing)


def streamed(version: Version, thing: Json) -> Json:
    """The same as a result of a stream or of a sent message, which 1.0 puts under a member with its name."""
    if version == "0.3":
        return thing
    kind: str = thing["kind"]
    member = {"status-update": "statusUpdate", "artifact-update": "artifactUpdate"}.get(kind, kind)
    return {member: told(version, thing)}


def understood(version: Version, message: Json) -> Json:
    """A message that was sent, in the form of 0.3; what is wrong in it stays wrong."""
    if version == "0.3":
        return message
    parts = message.get("parts")
    if isinstance(parts, list):
        parts = [_older_part(part) if isinstance(part, dict) else part for part in parts]
    sent = message.get("role")
    role = next((older for older, newer in _ROLES.items() if newer == sent), sent)
    return {**message, "role": role, "parts": parts}


def _older_part(part: Json) -> Json:
    more = {"metadata": part["metadata"]} if "metadata" in part else {}
    if "text" in part:
        return {"kind": "text", "text": part["text"], **more}
    if "data" in part:
        return {"kind": "data", "data": part["data"], **more}
    names = {"raw": "bytes", "url": "uri", "mediaType": "mimeType", "filename": "name"}
    file: Json = {older: part[newer] for newer, older in names.items() if newer in part}
    return {"kind": "file", "file": file, **more} if {"bytes", "uri"} & file.keys() else part


def _newer_part(part: Json) -> Json:
    more = {"metadata": part["metadata"]} if "metadata" in part else {}
    match part["kind"]:
        case "text":
            return {"text": part["text"], **more}
        case "data":
            return {"data": part["data"], **more}
        case _:
            names = {"bytes": "raw", "uri": "url", "mimeType": "mediaType", "name": "filename"}
            file: Json = {names[name]: value for name, value in part["file"].items() if name in names}
            return {**file, **more}


def _newer_message(message: Json) -> Json:
    parts = [_newer_part(part) for part in message["parts"]]
    return {**_without_kind(message), "role": _ROLES[message["role"]], "parts": parts}


def _newer_status(status: Json) -> Json:
    said = {"message": _newer_message(status["message"])} if "message" in status else {}
    return {**status, "state": _STATE + status["state"].upper().replace("-", "_"), **said}


def _newer_artifact(artifact: Json) -> Json:
    return {**artifact, "parts": [_newer_part(part) for part in artifact["parts"]]}


def _newer_task(task: Json) -> Json:
    newer = {**_without_kind(task), "status": _newer_status(task["status"])}
    if "artifacts" in task:
        newer["artifacts"] = [_newer_artifact(artifact) for artifact in task["artifacts"]]
    if "history" in task:
        newer["history"] = [_newer_message(message) for message in task["history"]]
    return newer


def _newer_status_update(update: Json) -> Json:
    rest = {name: value for name, value in _without_kind(update).items() if name != "final"}
    return {**rest, "status": _newer_status(update["status"])}


def _newer_artifact_update(update: Json) -> Json:
    return {**_without_kind(update), "artifact": _newer_artifact(update["artifact"])}


def _without_kind(thing: Json) -> Json:
    return {name: value for name, value in thing.items() if name != "kind"}


_NEWER: Mapping[str, Callable[[Json], Json]] = {
    "task": _newer_task,
    "message": _newer_message,
    "status-update": _newer_status_update,
    "artifact-update": _newer_artifact_update,
}
