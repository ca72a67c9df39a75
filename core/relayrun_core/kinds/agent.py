"""Agent: an image with a `langgraph.json`, its settings and its pool of runners."""

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from relayrun_core.kinds.base import (
    API_VERSION,
    Condition,
    EnvVar,
    KubeModel,
    LocalObjectReference,
    ObjectMeta,
    Opaque,
    SecretKeyReference,
)


class Runners(KubeModel):
    """The size of the pool."""

    min: int = Field(
        1, ge=0, description="The fewest runners that are kept, also when idle. 0 is allowed. `kubectl scale` sets it."
    )
    max: int = Field(10, ge=1, description="The most runners there may be.")
    spare: int = Field(1, ge=0, description="Idle runners kept beyond what active and queued runs need.")
    scale_down_delay_seconds: int = Field(300, ge=0, description="How long a runner must be idle before it leaves.")

    @model_validator(mode="after")
    def _ordered(self) -> "Runners":
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) must not be greater than max ({self.max})")
        return self


class RunDefaults(KubeModel):
    """What a run gets where it says nothing itself."""

    active_deadline_seconds: int = Field(3600, ge=1, description="The longest a run may execute, from its start.")
    backoff_limit: int = Field(2, ge=0, description="Attempts without progress that are allowed after the first.")
    durability: Literal["Sync", "Async", "Exit"] = Field("Sync", description="When checkpoints become durable.")


class UpdateStrategy(KubeModel):
    """How runners are replaced when the Agent changes."""

    max_unavailable: int = Field(0, ge=0, description="How many runners may be missing meanwhile.")
    max_surge: int = Field(1, ge=0, description="How many runners there may be too many meanwhile.")
    threads: Literal["Migrate", "Pin"] = Field(
        "Migrate",
        description="Migrate: open threads go on in the new runners. Pin: they go on under their own revision.",
    )
    pin_deadline_seconds: int = Field(
        604_800, ge=0, description="How long after its replacement a revision keeps its threads; then they migrate."
    )


class Traffic(KubeModel):
    """How Agents share the names of their graphs."""

    group: str = Field(
        min_length=1,
        max_length=63,
        description="Agents of one group share their graphs' names: 1 to 63 characters.",
    )
    weight: int = Field(
        100, ge=0, le=1_000_000, description="Its part of new threads, of the sum of its group's weights; 0: none."
    )


class AgentSpec(KubeModel):
    """What is wanted of an agent."""

    image: str = Field(min_length=1, description="The image with the agent's code, built on the runner image.")
    image_pull_secrets: list[LocalObjectReference] = Field(
        [], max_length=32, description="Secrets to pull the image with."
    )
    config_path: str = Field("/app/langgraph.json", description="Where the image has its langgraph.json.")
    isolation: Literal["Shared", "Pod"] = Field(
        "Shared", description="Shared: a runner executes several runs. Pod: one run, then the runner goes."
    )
    runs_per_runner: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="How many runs a runner executes at once; only with isolation Shared; default 10.",
    )
    runners: Runners = Field(Runners(), description="The size of the pool.")
    run_defaults: RunDefaults = Field(RunDefaults(), description="What a run gets where it says nothing itself.")
    run_history_limit: int = Field(100, ge=0, description="How many finished runs without a TTL are kept.")
    update_strategy: UpdateStrategy = Field(UpdateStrategy(), description="How runners are replaced.")
    traffic: Traffic | None = Field(
        None, description="With which Agents it shares its graphs' names, as for a canary; unset: with none."
    )
    suspend: bool = Field(False, description="Assign nothing new, for maintenance.")
    database_secret_ref: SecretKeyReference = Field(
        SecretKeyReference(name="relayrun-postgres", key="uri"), description="Where the database's URL is."
    )
    env: list[EnvVar] = Field([], max_length=256, description="Environment of the runner, as in a container.")
    env_from: list[Opaque] = Field([], description="Sources of the runner's environment, as in a container.")
    pod_template: Opaque = Field({}, description="Merged into the runner's pod (strategic merge; container `runner`).")

    @model_validator(mode="after")
    def _runs_per_runner_needs_shared(self) -> "AgentSpec":
        if self.isolation == "Pod" and self.runs_per_runner is not None:
            raise ValueError("runsPerRunner needs isolation Shared: a runner of isolation Pod executes one run")
        return self

    @property
    def slots(self) -> int:
        """How many runs a runner executes at once."""
        return 1 if self.isolation == "Pod" else self.runs_per_runner or 10


class AgentRevision(KubeModel):
    """A template of an Agent's runners that is kept."""

    name: str = Field(description="The template's hash, which its pods and runs have as their revision.")
    image: str = Field(description="Its image.")
    created_at: datetime = Field(description="When it was first seen.")
    replaced_at: datetime | None = Field(
        None, description="When another one took its place; unset for the current one."
    )
    pinned_until: datetime | None = Field(None, description="Until when it keeps its open threads, if it does.")
    runners: int = Field(0, description="Runners of this revision.")


class AgentStatus(KubeModel):
    """What is observed of an agent."""

    observed_generation: int | None = Field(
        None, description="The generation this status is about; -1: nobody has looked at the object yet."
    )
    conditions: list[Condition] = Field([], description="Ready, and why not; Reconciling and Stalled for kstatus.")
    graphs: list[str] = Field([], description="The graphs that the agent's runners have loaded.")
    current_revision: str | None = Field(None, description="The revision of new runners.")
    revisions: list[AgentRevision] = Field([], max_length=256, description="Revisions that are kept, the newest first.")
    replicas: int = Field(0, description="Runners there are.")
    selector: str = Field(
        "", description="The label selector of the runners' pods, for `kubectl scale` and autoscalers."
    )
    ready_replicas: int = Field(0, description="Runners that take runs.")
    updated_replicas: int = Field(0, description="Runners of the newest template.")
    active_threads: int = Field(0, description="Threads whose run executes now.")
    queued_runs: int = Field(0, description="Runs that wait for a slot.")


class Agent(KubeModel):
    """An agent."""

    api_version: Literal["relayrun.dev/v1alpha1"] = API_VERSION
    kind: Literal["Agent"] = "Agent"
    metadata: ObjectMeta
    spec: AgentSpec
    status: AgentStatus = AgentStatus()
