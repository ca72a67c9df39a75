"""Parameters of A2A's methods, in the form of 0.3 or where 1.0 calls them otherwise by both names."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from relayrun_api.threads.models import MAX_NAME

_MOST_PARTS = 1000
_LONGEST_ID = 255
_LONGEST_HISTORY = 1000
#: What goes into a header.
Written = Annotated[str, Field(max_length=4096, pattern=r"^[\x20-\x7e]*$")]
Identity = Annotated[str, Field(max_length=_LONGEST_ID)]


class A2aParams(BaseModel):
    """What is not known is ignored: clients are older and newer than we are."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class TextPart(A2aParams):
    """Text."""

    kind: Literal["text"]
    text: str


class DataPart(A2aParams):
    """JSON."""

    kind: Literal["data"]
    data: Any


class File(A2aParams):
    """A file's bytes in base64, or where it is."""

    bytes: str | None = None
    uri: str | None = Field(default=None, max_length=8192)
    mime_type: str | None = Field(default=None, alias="mimeType", max_length=_LONGEST_ID)
    name: str | None = Field(default=None, max_length=_LONGEST_ID)


class FilePart(A2aParams):
    """A file."""

    kind: Literal["file"]
    file: File


Part = Annotated[TextPart | DataPart | FilePart, Field(discriminator="kind")]


class Message(A2aParams):
    """What a client says."""

    role: Literal["user"]
    parts: list[Part] = Field(min_length=1, max_length=_MOST_PARTS)
    message_id: Identity = Field(alias="messageId")
    context_id: str | None = Field(default=None, alias="contextId", max_length=MAX_NAME)
    task_id: Identity | None = Field(default=None, alias="taskId")


class Authentication(A2aParams):
    """How a receiver wants to be asked: `scheme` in 1.0, the first of `schemes` in 0.3."""

    scheme: Written | None = None
    schemes: list[Written] = Field(default_factory=list, max_length=10)
    credentials: Written | None = None


class Receiver(A2aParams):
    """Who is told of a task's end."""

    id: Identity | None = None
    url: str = Field(max_length=2048)
    token: Written | None = None
    authentication: Authentication | None = None


class Configuration(A2aParams):
    """How a message is answered. 1.0 has `returnImmediately` in place of `blocking`."""

    blocking: StrictBool | None = None
    return_immediately: StrictBool = Field(default=False, alias="returnImmediately")
    history_length: StrictInt | None = Field(default=None, alias="historyLength", ge=0, le=_LONGEST_HISTORY)

    receiver: Receiver | None = Field(
        default=None, validation_alias=AliasChoices("taskPushNotificationConfig", "pushNotificationConfig")
    )

    @property
    def waits(self) -> bool:
        """Whether the answer comes with the task's end."""
        return not self.return_immediately and self.blocking is not False


class SendParams(A2aParams):
    """A message to the agent."""

    message: Message
    configuration: Configuration = Field(default_factory=Configuration)
    metadata: dict[str, Any] | None = None


class TaskParams(A2aParams):
    """A task."""

    id: Identity
    history_length: StrictInt | None = Field(default=None, alias="historyLength", ge=0, le=_LONGEST_HISTORY)


class ReceiverParams(A2aParams):
    """A task, and one of its receivers: `id` and `pushNotificationConfigId` in 0.3, `taskId` and `id` in 1.0."""

    task_id: Identity
    receiver_id: Identity | None = None

    @model_validator(mode="before")
    @classmethod
    def _either(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "taskId" not in given:
            return {"task_id": given.get("id"), "receiver_id": given.get("pushNotificationConfigId")}
        return {"task_id": given["taskId"], "receiver_id": given.get("id")}


class ListParams(A2aParams):
    """Which tasks."""

    context_id: str | None = Field(default=None, alias="contextId", max_length=MAX_NAME)
    status: str | None = Field(default=None, max_length=64)
    page_size: StrictInt = Field(default=50, ge=1, le=100, alias="pageSize")
    page_token: str | None = Field(default=None, max_length=512, alias="pageToken")
    history_length: StrictInt | None = Field(default=None, alias="historyLength", ge=0, le=_LONGEST_HISTORY)
    include_artifacts: StrictBool = Field(
        default=False, validation_alias=AliasChoices("includeArtifacts", "include_artifacts")
    )
