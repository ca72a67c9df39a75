"""AgentRuns and Agents in the operator's memory, parsed once for each event of the API server."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from relayrun_core.graph_names import Claimant
from relayrun_core.ids import former_thread_id, inline_run_id, inline_thread_id, uuid_of
from relayrun_core.kinds import AgentRunSpec, AgentSpec
from relayrun_core.kinds.identity import spec_hash
from relayrun_core.process.restarts import BURST, Restarts
from relayrun_core.runner_protocol import NewRunBody
from relayrun_core.runs import ObjectRef, RunHead, RunSpec
from relayrun_core.states import CancelAction, RunStatus
from relayrun_operator.engine import AgentView
from relayrun_operator.kube import names
from relayrun_operator.kube.conditions import seconds
from relayrun_operator.kube.manifests import Installation, template_hash
from relayrun_operator.kube.revisions import Revision
from relayrun_operator.kube.status import Facts, facts_of, finished_at, is_finished, is_waiting

Object = dict[str, Any]


@dataclass(slots=True)
class RunRecord:
    """One AgentRun. `facts` grow; `resource_version` and `status` are as the API server last told."""

    name: str
    namespace: str
    uid: str
    agent: str
    run_id: str
    #: What its thread is told apart by here. Of a name the runner says the id, which the status has then.
    thread: str
    inline: bool
    created_at: float
    resource_version: str
    generation: int | None
    status: Object
    facts: Facts
    ttl_seconds: int | None
    #: None once the run has finished: payloads are not kept.
    spec: AgentRunSpec | None
    #: Tells it from others of its name; empty for runs that the API made.
    spec_hash: str = ""
    finished: bool = False
    #: The object does not exist any more; there is nothing to write to.
    gone: bool = False
    seen_at: float = 0.0
    #: The revision that it, or its open thread, began under, as far as known.
    revision: str | None = None
    label: str | None = None
    #: The attempt that was sent to a runner last: its number, reason and sentence.
    given: tuple[int, str, str] = (0, "", "")
    #: When its deletion was asked for, in seconds since the epoch.
    deletion_asked_at: float | None = None
    #: When a runner was lost that had it, until it goes on (monotonic).
    lost_at: float | None = None

    @property
    def key(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"

    @property
    def thread_id(self) -> str | None:
        """The thread's id, as far as it is known."""
        return self.facts.thread_id

    @property
    def waiting(self) -> bool:
        """Whether it has paused for an answer that nobody has given yet."""
        return self.finished and is_waiting(self.status)

    @property
    def failed(self) -> bool:
        """Whether it has failed, and was not cancelled."""
        return self.finished and self.status.get("phase") == "Failed"

    @property
    def completed_at(self) -> float:
        """When this object was told of its end, in seconds since the epoch; 0 before."""
        ending = self.facts.ending
        return ending.at if ending else finished_at(self.status)

    @property
    def object(self) -> ObjectRef:
        """The object itself."""
        return ObjectRef(self.namespace, self.name, self.uid)


def parse_run(body: Mapping[str, Any]) -> RunRecord:
    """The record of an AgentRun. Raises pydantic.ValidationError when its spec is not one this version knows."""
    metadata, status = body["metadata"], dict(body.get("status") or {})
    spec = AgentRunSpec.model_validate(body["spec"])
    uid, namespace = metadata["uid"], metadata["namespace"]
    run_id = str(spec.run_id or inline_run_id(uid))
    thread_id = uuid_of(spec.thread) if spec.thread else inline_thread_id(uid)
    thread = thread_id or former_thread_id(spec.owner, spec.thread or "")
    known = str(thread_id) if thread_id else status.get("threadId")
    finished = is_finished(status)
    generation = metadata.get("generation")
    return RunRecord(
        name=metadata["name"],
        namespace=namespace,
        uid=uid,
        agent=f"{namespace}/{spec.agent_ref.name}",
        run_id=run_id,
        thread=str(thread),
        inline=spec.run_id is None,
        created_at=seconds(metadata["creationTimestamp"]) or 0.0,
        resource_version=metadata["resourceVersion"],
        generation=generation,
        status=status,
        facts=facts_of(status, run_id, known, generation),
        ttl_seconds=spec.ttl_seconds_after_finished,
        spec=None if finished else spec,
        spec_hash="" if finished or spec.run_id else spec_hash(body["spec"], metadata.get("annotations") or {}),
        finished=finished,
        revision=(label := (metadata.get("labels") or {}).get(names.REVISION_LABEL)),
        label=label,
    )


def cancel_of(spec: AgentRunSpec) -> CancelAction | None:
    """What `spec.cancel` asks for."""
    return CancelAction(spec.cancel.lower()) if spec.cancel else None


def head_of(record: RunRecord, spec: AgentRunSpec, agent: AgentSpec | None, order: int) -> RunHead:
    """The run as the cache takes it in. Deadlines that the AgentRun leaves out are the Agent's."""
    active = spec.active_deadline_seconds or (agent.run_defaults.active_deadline_seconds if agent else 3600)
    facts = record.facts
    return RunHead(
        run_id=UUID(record.run_id),
        seq=order,
        thread_id=UUID(record.thread),
        agent=record.agent,
        graph=spec.graph or "",
        status=RunStatus.PENDING,
        attempt=facts.attempts,
        holder=None,
        runner=None,  # whoever has it says so itself
        failed_attempts=facts.failed_attempts,
        suspect=False,
        not_before=None,
        cancel=cancel_of(spec),
        active_deadline=facts.started_at + active if facts.started_at else None,
        active_deadline_seconds=float(active),
        starting_deadline=record.created_at + spec.starting_deadline_seconds,
    )


def creation_of(record: RunRecord, spec: AgentRunSpec, agent: AgentSpec) -> NewRunBody:
    """`create` of a PUT: thread and payload of a run that came with its AgentRun."""
    defaults = agent.run_defaults
    run = RunSpec(
        input=spec.input,
        command=spec.command,
        config=spec.config,
        context=spec.context,
        metadata=spec.run_metadata,
        stream_modes=spec.stream_modes,
        stream_subgraphs=spec.stream_subgraphs,
        interrupt_before=_nodes(spec.interrupt_before),
        interrupt_after=_nodes(spec.interrupt_after),
        checkpoint_id=spec.checkpoint_id,
        durability=(spec.durability or defaults.durability).lower(),
        multitask_strategy=spec.multitask_strategy.lower(),
        active_deadline_seconds=spec.active_deadline_seconds or defaults.active_deadline_seconds,
        starting_deadline_seconds=spec.starting_deadline_seconds,
        backoff_limit=defaults.backoff_limit if spec.backoff_limit is None else spec.backoff_limit,
    )
    return NewRunBody(
        thread_id=UUID(record.thread),
        thread_name=spec.thread,
        owner=spec.owner,
        agent=spec.agent_ref.name,
        spec=run,
        object=record.object,
        spec_hash=record.spec_hash or None,
    )


def _nodes(given: list[str]) -> Any:
    return "*" if given == ["*"] else given or None


@dataclass(slots=True)
class AgentRecord:
    """One Agent, and what stands in the way of its pool."""

    key: str
    body: Object
    spec: AgentSpec
    view: AgentView
    status: Object
    resource_version: str
    #: Why its last pod could not be made, in the API server's words; and when pods may be made again.
    refusal: str = ""
    #: And why it did not make one although it may: it throttles, or is ill.
    failure: str = ""
    restarts: Restarts = field(default_factory=Restarts)
    #: The runners of its generation that were ready when the pool was looked at last.
    ready: frozenset[str] = frozenset()
    service_made: bool = False
    #: The `minAvailable` that its PodDisruptionBudget was given last.
    min_available: int | None = None
    graphs: list[str] = field(default_factory=list)
    #: The pool of one of its replaced revisions, and not its own.
    pinned: bool = False
    #: Its revisions by name, and those of which the API server does not know the newest.
    revisions: dict[str, Revision] = field(default_factory=dict)
    unwritten: set[str] = field(default_factory=set)
    #: The last ends of its runners that nobody asked for, as its status has them.
    deaths: list[Object] = field(default_factory=list)

    def note(self, revision: Revision) -> None:
        """A revision is new, or has changed."""
        self.revisions[revision.name] = revision
        self.unwritten.add(revision.name)

    def wrote(self, revision: Revision) -> None:
        """The API server has the revision as it was."""
        if self.revisions.get(revision.name) == revision:
            self.unwritten.discard(revision.name)
            self.revisions[revision.name] = replace(revision, kept=True)

    @property
    def name(self) -> str:
        """The Agent's own name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self.body["metadata"]["namespace"])

    @property
    def claimant(self) -> Claimant:
        """What decides about its graphs' names."""
        created = self.body["metadata"].get("creationTimestamp")
        age, traffic = datetime.fromisoformat(created) if created else None, self.spec.traffic
        return Claimant(self.name, age, traffic.group, traffic.weight) if traffic else Claimant(self.name, age)


def parse_agent(body: Mapping[str, Any], installation: Installation) -> AgentRecord:
    """The record of an Agent. Raises pydantic.ValidationError when its spec is not one this version knows."""
    metadata = body["metadata"]
    spec = AgentSpec.model_validate(body["spec"])
    own = {
        "apiVersion": body.get("apiVersion"),
        "kind": "Agent",
        "metadata": dict(metadata),
        "spec": dict(body["spec"]),
    }
    key = f"{metadata['namespace']}/{metadata['name']}"
    view = agent_view(key, spec, template_hash(own, spec, installation))
    restarts = Restarts(burst=max(BURST, spec.runners.max))
    status, version = dict(body.get("status") or {}), metadata["resourceVersion"]
    deaths = list(status.get("recentDeaths") or ())
    return AgentRecord(key, own, spec, view, status, version, restarts=restarts, deaths=deaths)


def agent_view(key: str, spec: AgentSpec, generation: str) -> AgentView:
    """The pool of these settings as the engine sees it."""
    runners = spec.runners
    return AgentView(
        key,
        generation=generation,
        slots=spec.slots,
        min_runners=runners.min,
        max_runners=runners.max,
        spare=runners.spare,
        scale_down_delay_seconds=runners.scale_down_delay_seconds,
        max_unavailable=spec.update_strategy.max_unavailable,
        max_surge=spec.update_strategy.max_surge,
        suspend=spec.suspend,
    )
