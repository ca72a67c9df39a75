"""AgentRun: one run of a thread, as anybody with kubectl can apply, watch and delete it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, WithJsonSchema, model_validator

from relayrun_core.kinds.base import API_VERSION, Condition, KubeModel, LocalObjectReference, ObjectMeta, Opaque
from relayrun_core.runs import DEFAULT_STREAM_MODES, StreamMode

#: The name of a node.
Word = Annotated[str, StringConstraints(max_length=256)]

#: Fields of a spec that may change, and say nothing of what is executed.
MUTABLE = frozenset({"cancel", "ttlSecondsAfterFinished"})

#: A LangGraph config. What is wrong with its other keys, LangGraph says.
Config = Annotated[
    Opaque,
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": True,
            "properties": {
                name: {"type": "object", "additionalProperties": True, "description": description}
                for name, description in (
                    ("configurable", "What nodes read as `configurable`."),
                    ("metadata", "Metadata of checkpoints and traces."),
                )
            },
        }
    ),
]

Phase = Literal["Queued", "Running", "Succeeded", "WaitingForInput", "Failed", "Cancelled"]


class AgentRunSpec(KubeModel):
    """The desired state of a run. Immutable except for `cancel` and `ttlSecondsAfterFinished`."""

    agent_ref: LocalObjectReference = Field(description="The Agent that executes the run.")
    graph: str | None = Field(
        None, max_length=256, description="The name of the graph. Default: the Agent's only graph."
    )
    thread: str | None = Field(
        None,
        min_length=1,
        max_length=256,
        description="The UUID of a thread, or a name that the owner gave it. Default: a new thread.",
    )
    owner: str | None = Field(
        None, max_length=256, description="The API user that may see the run. If unset, only admins."
    )
    input: Opaque | None = Field(None, description="The graph's input. Set at most one of input, command and runId.")
    command: Opaque | None = Field(None, description="A LangGraph command, such as {resume: yes}. Requires thread.")
    run_id: UUID | None = Field(None, description="The run in Postgres that has the payload. Only the API sets this.")
    checkpoint_id: str | None = Field(
        None, max_length=256, description="The checkpoint to continue from, to fork or replay a thread."
    )
    config: Config = Field({}, description="The LangGraph config of the run.")
    context: Opaque | None = Field(None, description="The graph's runtime context.")
    run_metadata: Opaque = Field({}, description="Metadata of the run.")
    stream_modes: list[StreamMode] = Field(
        list(DEFAULT_STREAM_MODES), max_length=16, description="The stream modes to keep in the journal."
    )
    stream_subgraphs: bool = Field(False, description="Whether to keep the events of subgraphs in the journal too.")
    interrupt_before: list[Word] = Field(
        [], max_length=256, description='Pause before these nodes, or before every node with ["*"].'
    )
    interrupt_after: list[Word] = Field(
        [], max_length=256, description='Pause after these nodes, or after every node with ["*"].'
    )
    durability: Literal["Sync", "Async", "Exit"] | None = Field(
        None, description="When checkpoints are written. Default: the Agent's."
    )
    multitask_strategy: Literal["Enqueue", "Reject", "Interrupt", "Rollback"] = Field(
        "Enqueue", description="What to do if the thread already has an unfinished run."
    )
    starting_deadline_seconds: int = Field(86400, ge=1, description="Seconds that the run may wait to start.")
    active_deadline_seconds: int | None = Field(
        None, ge=1, description="Seconds that the run may execute. Default: the Agent's."
    )
    backoff_limit: int | None = Field(
        None,
        ge=0,
        description="How many more attempts the run gets when an attempt ends without progress. Default: the Agent's.",
    )
    ttl_seconds_after_finished: int | None = Field(
        None, ge=0, description="Seconds after its end when the AgentRun is deleted. If unset, it is kept."
    )
    cancel: Literal["Interrupt", "Rollback"] | None = Field(
        None, description="Cancels the run: Interrupt keeps what it has done, Rollback removes it. Cannot be unset."
    )
    managed_by: str | None = Field(
        None, max_length=253, description="The name of another controller. Relayrun then ignores this AgentRun."
    )

    @model_validator(mode="after")
    def _one_payload(self) -> "AgentRunSpec":
        given = [name for name in ("input", "command", "run_id") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give at most one of input, command and runId, not {' and '.join(given)}")
        if self.command is not None and self.thread is None:
            raise ValueError("command needs a thread: name the one to continue")
        return self


class AgentRunStatus(KubeModel):
    """The observed state of a run."""

    observed_generation: int | None = Field(
        None, description="The generation that this status describes. -1: no operator has seen the object yet."
    )
    phase: Phase | None = Field(None, description="A summary of the conditions, for people.")
    reason: str | None = Field(None, description="The reason of the condition that decides the phase.")
    run_id: UUID | None = Field(None, description="The id of the run in Postgres.")
    thread_id: UUID | None = Field(None, description="The id of the thread in Postgres.")
    runner_name: str | None = Field(None, description="The pod that executes the run, or executed it last.")
    attempts: int = Field(0, description="The number of the latest attempt. Postponed attempts count too.")
    failed_attempts: int = Field(
        0, description="Attempts that ended without progress. They count against backoffLimit."
    )
    start_time: datetime | None = Field(None, description="When the run first started to execute.")
    completion_time: datetime | None = Field(None, description="When the run ended.")
    message: str = Field("", max_length=1024, description="A sentence about the state of the run.")
    output: Opaque | None = Field(None, description="The output of a run with inline input, if it is 4 KiB or less.")
    conditions: list[Condition] = Field(
        [], description="Assigned and Ready; one of Complete, Waiting and Failed; Finished."
    )


class AgentRun(KubeModel):
    """One run of a thread. Delete it to cancel the run."""

    api_version: Literal["relayrun.dev/v1alpha1"] = API_VERSION
    kind: Literal["AgentRun"] = "AgentRun"
    metadata: ObjectMeta
    spec: AgentRunSpec
    status: AgentRunStatus = AgentRunStatus()
