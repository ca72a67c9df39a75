"""AgentRun: one run of a thread, as anybody with kubectl can apply, watch and delete it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from relayrun_core.kinds.base import API_VERSION, Condition, KubeModel, LocalObjectReference, ObjectMeta, Opaque
from relayrun_core.runs import DEFAULT_STREAM_MODES, StreamMode

#: The name of a node.
Word = Annotated[str, StringConstraints(max_length=256)]

#: Fields of a spec that may change, and say nothing of what is executed.
MUTABLE = frozenset({"cancel", "ttlSecondsAfterFinished"})

Phase = Literal["Queued", "Running", "Succeeded", "WaitingForInput", "Failed", "Cancelled"]


class AgentRunSpec(KubeModel):
    """What is wanted of a run. Immutable but for `cancel` and `ttlSecondsAfterFinished`."""

    agent_ref: LocalObjectReference = Field(description="The Agent that executes the run.")
    graph: str | None = Field(None, max_length=256, description="The graph; default: the agent's only one.")
    thread: str | None = Field(
        None,
        min_length=1,
        max_length=256,
        description="A thread's UUID, or the owner's name for it; default: a new thread.",
    )
    owner: str | None = Field(
        None, max_length=256, description="The API subject that sees the run; unset: admins only."
    )
    input: Opaque | None = Field(None, description="The graph's input. At most one of input, command and runId.")
    command: Opaque | None = Field(None, description="A LangGraph command, such as {resume: yes}; needs a thread.")
    run_id: UUID | None = Field(None, description="A run whose payload is in Postgres; set by the API only.")
    checkpoint_id: str | None = Field(None, max_length=256, description="Fork or replay from this checkpoint.")
    config: Opaque = Field({}, description="LangGraph configuration of the run.")
    context: Opaque | None = Field(None, description="The graph's static context.")
    run_metadata: Opaque = Field({}, description="Metadata of the run.")
    stream_modes: list[StreamMode] = Field(
        list(DEFAULT_STREAM_MODES), max_length=16, description="What the journal holds."
    )
    stream_subgraphs: bool = Field(False, description="Journal the events of subgraphs too.")
    interrupt_before: list[Word] = Field(
        [], max_length=256, description='Pause before these nodes, or before all with ["*"].'
    )
    interrupt_after: list[Word] = Field(
        [], max_length=256, description='Pause after these nodes, or after all with ["*"].'
    )
    durability: Literal["Sync", "Async", "Exit"] | None = Field(None, description="Default: the Agent's.")
    multitask_strategy: Literal["Enqueue", "Reject", "Interrupt", "Rollback"] = Field(
        "Enqueue", description="What becomes of this run and of an unfinished one of the same thread."
    )
    starting_deadline_seconds: int = Field(86400, ge=1, description="The longest the run may wait to start.")
    active_deadline_seconds: int | None = Field(
        None, ge=1, description="The longest it may execute; default: the Agent's."
    )
    backoff_limit: int | None = Field(None, ge=0, description="Attempts without progress after the first.")
    ttl_seconds_after_finished: int | None = Field(
        None, ge=0, description="Deleted that long after its end; unset: kept."
    )
    cancel: Literal["Interrupt", "Rollback"] | None = Field(None, description="Cancels the run; cannot be taken back.")
    managed_by: str | None = Field(
        None, max_length=253, description="Another controller's name: Relayrun leaves it alone."
    )

    @model_validator(mode="after")
    def _one_payload(self) -> "AgentRunSpec":
        given = [name for name in ("input", "command", "run_id") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give at most one of input, command and runId, not {' and '.join(given)}")
        if self.command is not None and self.thread is None:
            raise ValueError("command needs a thread: say which one goes on")
        return self


class AgentRunStatus(KubeModel):
    """What is observed of a run."""

    observed_generation: int | None = Field(
        None, description="The generation this status is about; -1: nobody has looked at the object yet."
    )
    phase: Phase | None = Field(None, description="A summary for people; derived from the conditions.")
    reason: str | None = Field(None, description="The reason of the deciding condition.")
    run_id: UUID | None = Field(None, description="The run in Postgres.")
    thread_id: UUID | None = Field(None, description="The thread in Postgres.")
    runner_name: str | None = Field(None, description="The pod that executes it, or did last.")
    attempts: int = Field(0, description="The newest attempt's number; those that were put off count.")
    failed_attempts: int = Field(0, description="Those without progress: they count against backoffLimit.")
    start_time: datetime | None = Field(None, description="When it was first executed.")
    completion_time: datetime | None = Field(None, description="When it ended.")
    message: str = Field("", max_length=1024, description="A sentence about its state.")
    output: Opaque | None = Field(None, description="The result of a run with inline input, when it is at most 4 KiB.")
    conditions: list[Condition] = Field([], description="Assigned, Ready; Complete, Waiting or Failed; Finished.")


class AgentRun(KubeModel):
    """A run."""

    api_version: Literal["relayrun.dev/v1alpha1"] = API_VERSION
    kind: Literal["AgentRun"] = "AgentRun"
    metadata: ObjectMeta
    spec: AgentRunSpec
    status: AgentRunStatus = AgentRunStatus()
