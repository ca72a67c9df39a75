"""What the engine sees: frozen views of runs, runners and agents."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property

from relayrun_core.runner_protocol import AttemptState
from relayrun_core.states import CancelAction, RunStatus

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Report:
    """One attempt on one runner, as the runner reports it. `alone`: it takes the runner for itself."""

    attempt: int
    state: AttemptState
    alone: bool = False


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as last known. Times are seconds since the epoch (deadlines are the database's)."""

    run_id: str
    agent: str
    graph: str
    thread: str
    #: The insertion counter: lower goes first.
    order: int
    status: RunStatus = RunStatus.PENDING
    #: The highest attempt that was ever given out, as far as known.
    attempt: int = 0
    #: Who has that attempt: a runner's name, and the UUID of its process.
    runner: str | None = None
    holder: str | None = None
    #: The attempt's PUT had no clear answer: the claim may have committed, so it may go to that runner only.
    unanswered: bool = False
    cancel: CancelAction | None = None
    deleted: bool = False
    suspect: bool = False
    #: The end of the last attempt was not the run's fault: its runner drained, or the whole world went down.
    excused: bool = False
    not_before: float | None = None
    failed_attempts: int = 0
    #: How long it may be active in all; the deadline is None until it has started.
    active_seconds: float = 3600.0
    active_deadline: float | None = None
    starting_deadline: float | None = None
    #: The run of the same thread that comes right before it.
    queued_behind: str | None = None


class Startup(Enum):
    """How far a runner is that is not ready."""

    #: Its container has not been started yet: a node, a volume or an image is waited for.
    CREATED = auto()
    #: Its process runs, and loads its graphs.
    RUNNING = auto()
    #: Its container, or its image, failed: Kubernetes waits before it tries again.
    BACK_OFF = auto()
    #: It waits for what another runner would wait for too: a node with room, or the database.
    HELD_UP = auto()


@dataclass(frozen=True)
class RunnerView:
    """One runner process as last known. `last_heard` and `idle_since` are seconds of the monotonic clock."""

    name: str
    agent: str
    #: Which code and settings it was started with: a local generation, a template hash.
    generation: str
    holder: str | None
    slots: int
    last_heard: float
    ready: bool = True
    #: While it is not ready: how far it is, since when (monotonic), and whether it had been ready before.
    startup: Startup = Startup.RUNNING
    unready_since: float = float("inf")
    was_ready: bool = False
    #: Somebody else, as the kubelet, says that it serves: whether we heard it or not.
    serving: bool = False
    draining: bool = False
    #: Its process or pod is known to be gone.
    gone: bool = False
    #: Under a debugger: silence says nothing.
    debugged: bool = False
    #: `Pod` isolation: it belongs to this run and takes no other.
    owner: str | None = None
    idle_since: float | None = None
    graphs: frozenset[str] = _NOBODY
    runs: Mapping[str, Report] = field(default_factory=dict)

    @cached_property
    def load(self) -> int:
        """How many slots are taken."""
        return sum(report.state.holds for report in self.runs.values())

    @cached_property
    def exclusive(self) -> bool:
        """Whether a suspect has this runner for itself."""
        return any(report.alone and report.state.holds for report in self.runs.values())

    @property
    def free(self) -> int:
        """How many more runs it may take."""
        return 0 if self.exclusive else max(0, self.slots - self.load)

    def with_report(self, run_id: str, report: Report) -> "RunnerView":
        """The same runner with one attempt reported otherwise."""
        return replace(self, runs={**self.runs, run_id: report})


@dataclass(frozen=True, slots=True)
class AgentView:
    """The settings of an agent that decide about placing and its pool."""

    name: str
    #: What its runners should be: others are replaced.
    generation: str
    slots: int = 10
    min_runners: int = 1
    max_runners: int = 1
    spare: int = 0
    scale_down_delay_seconds: float = 300.0
    max_unavailable: int = 0
    max_surge: int = 1
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many runs of an agent wait for a place."""

    suspects: int = 0
    others: int = 0
