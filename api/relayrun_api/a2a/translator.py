"""A run's journal as A2A's updates: artifacts in chunks, and states. Pure.

The same journal always gives the same updates, so that any replica can go on where a connection was lost. Each message
of the agent is an artifact. What a lost attempt had half sent cannot be taken back: the next message takes the place of
that artifact, by a first chunk that does not append.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from relayrun_api.a2a.dialects import Json
from relayrun_api.a2a.parts import data_part, parts_of_value
from relayrun_api.chat.translator import ChatTranslator
from relayrun_api.streaming.messages import is_message, role_of, text_of
from relayrun_core.states import Reason, RunStatus

_STATES = {
    RunStatus.DELAYED: "submitted",
    RunStatus.PENDING: "submitted",
    RunStatus.RUNNING: "working",
    RunStatus.SUCCESS: "completed",
    RunStatus.INTERRUPTED: "input-required",
    RunStatus.ERROR: "failed",
    RunStatus.TIMEOUT: "failed",
    RunStatus.CANCELLED: "canceled",
}
#: A question whose value says this is about credentials that the agent does not have.
_AUTH_REQUIRED = "auth-required"
#: States in which nothing happens until the client does something; behind the others something comes.
TERMINAL = frozenset(("completed", "failed", "canceled", "rejected"))


def state_of_run(status: RunStatus, reason: Reason | None, questions: list[Json]) -> str:
    """A run's state in A2A's words."""
    if reason is Reason.INVALID_RUN:
        return "rejected"
    if status is RunStatus.INTERRUPTED and any(_asks_for_credentials(entry.get("value")) for entry in questions):
        return _AUTH_REQUIRED
    return _STATES[status]


def question_message(task_id: str, context_id: str, run_id: str, questions: list[Json]) -> Json:
    """What the agent asks, as its message; `metadata.interrupts` names each question by its id."""
    parts = [part for entry in questions for part in parts_of_value(entry.get("value"))]
    return {
        **agent_message(task_id, context_id, f"{run_id}-question", parts or parts_of_value("The agent waits: go on?")),
        "metadata": {"interrupts": [entry.get("id") for entry in questions]},
    }


def agent_message(task_id: str, context_id: str, message_id: str, parts: list[Json]) -> Json:
    """A message of the agent's."""
    return {
        "kind": "message",
        "role": "agent",
        "messageId": message_id,
        "taskId": task_id,
        "contextId": context_id,
        "parts": parts,
    }


def output_parts(values: Any) -> list[Json]:
    """A graph's output as parts: the agent's last words, or else all of it."""
    messages = values.get("messages") if isinstance(values, dict) else None
    found = [message for message in messages if is_message(message)] if isinstance(messages, list) else []
    if found and role_of(found[-1]) == "assistant" and (text := text_of(found[-1].get("content"))):
        return [{"kind": "text", "text": text}]
    return [] if messages is not None or values in (None, {}) else [data_part(values)]


@dataclass
class Artifact:
    """An artifact so far. `whole`: nothing of it is to come."""

    artifact_id: str
    text: str = ""
    whole: bool = False
    parts: list[Json] = field(default_factory=list)

    def told(self) -> Json:
        """As a task has it."""
        return {"artifactId": self.artifact_id, "parts": self.parts or [{"kind": "text", "text": self.text}]}


class A2aTranslator:
    """Translates the journal of one of a task's runs, event by event, in order."""

    def __init__(self, task_id: str, context_id: str, run_id: str, number: int) -> None:
        """`number`: which run of its thread it is."""
        self._chat = ChatTranslator(run_id, context_id)
        self._ids = {"taskId": task_id, "contextId": context_id}
        self._run_id = run_id
        self._number = number
        self._by_message: dict[str, Artifact] = {}
        self._vacant: list[Artifact] = []
        self._questions: list[Json] = []
        self._problem: str | None = None
        self.artifacts: list[Artifact] = []

    def translate(self, event: str, data: bytes, output: Any = None) -> list[Json]:
        """The updates of one journal event. `output`: the run's, with its `end`."""
        return [update for chat_event in self._chat.translate(event, data) for update in self._of(chat_event, output)]

    def _of(self, chat_event: Json, output: Any) -> Iterator[Json]:
        match chat_event["type"]:
            case "start":
                yield self._status("working")
            case "attempt":
                # What comes next takes the places of what a lost attempt had begun.
                self._vacant += [self._by_message.pop(one) for one in chat_event["discard"] if one in self._by_message]
                yield self._status("working")
            case "token":
                yield self._token(chat_event["message_id"], chat_event["text"])
            case "message":
                yield from self._message(chat_event["message"])
            case "interrupt":
                self._questions += chat_event["interrupts"]
            case "error":
                self._problem = chat_event["detail"]
            case "end":
                yield from self._end(RunStatus(chat_event["status"]), output)

    def _token(self, message_id: str, text: str) -> Json:
        artifact = self._by_message.get(message_id)
        append = artifact is not None
        if artifact is None:
            artifact = self._by_message[message_id] = self._place()
        artifact.text += text
        return self._update(artifact, text, append=append, last=False)

    def _message(self, message: Any) -> Iterator[Json]:
        text, artifact = message["content"], self._by_message.get(message["id"])
        if artifact is None and not text:
            return  # it calls tools and says nothing
        append = artifact is not None and artifact.text == text
        if artifact is None:
            artifact = self._place()
            self._by_message[message["id"]] = artifact
        artifact.text, artifact.whole = text, True
        yield self._update(artifact, "" if append else text, append=append, last=True)

    def _end(self, status: RunStatus, output: Any) -> Iterator[Json]:
        for artifact in self._vacant:
            artifact.text, artifact.whole = "", True
            yield self._update(artifact, "", append=False, last=True)
        if status is RunStatus.SUCCESS and not self.artifacts and (parts := output_parts(output)):
            artifact = self._place()
            artifact.parts, artifact.whole = parts, True
            yield self._artifact(artifact, parts, append=False, last=True)
        yield self._status(state_of_run(status, None, self._questions), self._word(status), final=True)

    def _word(self, status: RunStatus) -> Json | None:
        task_id, context_id = self._ids["taskId"], self._ids["contextId"]
        if status is RunStatus.INTERRUPTED:
            return question_message(task_id, context_id, self._run_id, self._questions)
        if self._problem is None:
            return None
        return agent_message(task_id, context_id, f"{self._run_id}-error", parts_of_value(self._problem))

    def _place(self) -> Artifact:
        if self._vacant:
            artifact = self._vacant.pop(0)
            artifact.text = ""
            return artifact
        artifact = Artifact(f"{self._number}.{len(self.artifacts) + 1}")
        self.artifacts.append(artifact)
        return artifact

    def _update(self, artifact: Artifact, text: str, *, append: bool, last: bool) -> Json:
        return self._artifact(artifact, [{"kind": "text", "text": text}], append=append, last=last)

    def _artifact(self, artifact: Artifact, parts: list[Json], *, append: bool, last: bool) -> Json:
        told = {"artifactId": artifact.artifact_id, "parts": parts}
        return {"kind": "artifact-update", **self._ids, "artifact": told, "append": append, "lastChunk": last}

    def _status(self, state: str, message: Json | None = None, *, final: bool = False) -> Json:
        status = {"state": state, **({"message": message} if message else {})}
        return {"kind": "status-update", **self._ids, "status": status, "final": final}


def _asks_for_credentials(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("type", "")).replace("_", "-") == _AUTH_REQUIRED
