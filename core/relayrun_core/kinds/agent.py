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
        1, ge=0, description="The fewest runners to keep, even when idle. May be 0. `kubectl scale` sets it."
    )
    max: int = Field(10, ge=1, description="The most runners to create.")
    spare: int = Field(1, ge=0, description="Idle runners to keep beyond those that active and queued runs need.")
    scale_down_delay_seconds: int = Field(
        300, ge=0, description="Seconds that a runner must be idle before it is removed."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Runners":
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) must not be greater than max ({self.max})")
        return self


class RunDefaults(KubeModel):
    """Defaults for runs that do not set these fields."""

    active_deadline_seconds: int = Field(
        3600, ge=1, description="Seconds that a run may execute, measured from its start."
    )
    backoff_limit: int = Field(
        2, ge=0, description="How many more attempts a run gets when an attempt ends without progress."
    )
    durability: Literal["Sync", "Async", "Exit"] = Field(
        "Sync",
        description="When to write checkpoints: after each step (Sync), during the next (Async), at the end (Exit).",
    )


class UpdateStrategy(KubeModel):
    """How runners are replaced when the Agent changes."""

    max_unavailable: int = Field(0, ge=0, description="How many runners may be missing during an update.")
    max_surge: int = Field(1, ge=0, description="How many additional runners may be created during an update.")
    threads: Literal["Migrate", "Pin"] = Field(
        "Migrate",
        description="Migrate: open threads continue on the new runners. Pin: they continue on their own revision.",
    )
    pin_deadline_seconds: int = Field(
        604_800,
        ge=0,
        description="Seconds for which a replaced revision keeps its open threads. After that, they migrate.",
    )


class Traffic(KubeModel):
    """How Agents share the names of their graphs."""

    group: str = Field(
        min_length=1,
        max_length=63,
        description="The name of a group, 1 to 63 characters. Agents of one group share the names of their graphs.",
    )
    weight: int = Field(
        100,
        ge=0,
        le=1_000_000,
        description="This Agent's share of new threads, relative to the other weights of the group. 0: no new threads.",
    )


class AgentSpec(KubeModel):
    """The desired state of an Agent."""

    image: str = Field(min_length=1, description="The image with the agent's code, built on the runner image.")
    image_pull_secrets: list[LocalObjectReference] = Field(
        [], max_length=32, description="Secrets to pull the image with."
    )
    config_path: str = Field("/app/langgraph.json", description="The path of langgraph.json in the image.")
    isolation: Literal["Shared", "Pod"] = Field(
        "Shared",
        description="Shared: a runner executes several runs at once. Pod: a runner executes one run, then is replaced.",
    )
    runs_per_runner: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="How many runs a runner executes at once. Only with isolation Shared. Default: 10.",
    )
    runners: Runners = Field(Runners(), description="The size of the pool.")
    run_defaults: RunDefaults = Field(RunDefaults(), description="Defaults for runs that do not set these fields.")
    run_history_limit: int = Field(100, ge=0, description="How many finished AgentRuns without a TTL to keep.")
    update_strategy: UpdateStrategy = Field(
        UpdateStrategy(), description="How runners are replaced when the Agent changes."
    )
    traffic: Traffic | None = Field(
        None,
        description="Shares the names of this Agent's graphs with other Agents, as for a canary. If unset: no.",
    )
    suspend: bool = Field(False, description="Stops assigning runs to runners, for maintenance. Queued runs wait.")
    database_secret_ref: SecretKeyReference = Field(
        SecretKeyReference(name="relayrun-postgres", key="uri"),
        description="The Secret and key with the database's URL.",
    )
    env: list[EnvVar] = Field([], max_length=256, description="Environment variables of the runner, as in a container.")
    env_from: list[Opaque] = Field([], description="Sources of environment variables of the runner, as in a container.")
    pod_template: Opaque = Field(
        {},
        description="A pod template that is merged into the runner's pod (strategic merge). The container is `runner`.",
    )

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
    """A revision of an Agent: one template of its runners."""

    name: str = Field(description="The hash of the template. Its pods and runs have it as their revision.")
    image: str = Field(description="The image of this revision.")
    created_at: datetime = Field(description="When this revision was first observed.")
    replaced_at: datetime | None = Field(
        None, description="When another revision replaced this one. Unset for the current revision."
    )
    pinned_until: datetime | None = Field(
        None, description="Until when this revision keeps its open threads, if they are pinned."
    )
    runners: int = Field(0, description="The number of runners of this revision.")


class AgentRunner(KubeModel):
    """A runner of an Agent."""

    name: str = Field(description="The name of its pod.")
    state: Literal["starting", "ready", "draining", "lost", "refused"] = Field(
        description="lost: the runner does not answer. refused: the runner refuses the operator's token."
    )
    slots: int = Field(description="The number of runs that it executes at the same time.")
    revision: str = Field(description="The revision that it was created from.")
    restarts: int = Field(0, description="How often its container, or the process in it, was restarted.")


class RunnerDeath(KubeModel):
    """An unexpected end of a runner process."""

    runner: str = Field(description="The name of the pod.")
    time: datetime = Field(description="When the operator noticed it.")
    reason: str = Field(max_length=1024, description="The reason, as far as it is known.")


class AgentStatus(KubeModel):
    """The observed state of an Agent."""

    observed_generation: int | None = Field(
        None, description="The generation that this status describes. -1: no operator has seen the object yet."
    )
    conditions: list[Condition] = Field(
        [], description="Ready, with the reason if it is False; Reconciling and Stalled, for kstatus."
    )
    graphs: list[str] = Field([], description="The graphs that the agent's runners have loaded.")
    current_revision: str | None = Field(None, description="The revision of new runners.")
    revisions: list[AgentRevision] = Field([], max_length=256, description="The revisions that are kept, newest first.")
    replicas: int = Field(0, description="The number of runners.")
    selector: str = Field(
        "", description="The label selector of the runners' pods, for `kubectl scale` and autoscalers."
    )
    ready_replicas: int = Field(0, description="The number of runners that accept runs.")
    updated_replicas: int = Field(0, description="The number of runners of the current revision.")
    active_threads: int = Field(0, description="The number of threads with a run that executes now.")
    queued_runs: int = Field(0, description="The number of runs that wait for a runner.")
    runners: list[AgentRunner] = Field([], max_length=256, description="The runners that exist now, by name.")
    recent_deaths: list[RunnerDeath] = Field(
        [], max_length=10, description="The last unexpected ends of runner processes, newest first."
    )


class Agent(KubeModel):
    """An agent: an image with a langgraph.json, and a pool of runners that execute its runs."""

    api_version: Literal["relayrun.dev/v1alpha1"] = API_VERSION
    kind: Literal["Agent"] = "Agent"
    metadata: ObjectMeta
    spec: AgentSpec
    status: AgentStatus = AgentStatus()
