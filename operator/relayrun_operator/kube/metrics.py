"""The operator's Prometheus metrics. Labels come from fixed sets: never a run or a thread.

The operator counts AgentRuns. Metrics of runs and threads have other names, and the API and the runners export them.
"""

from collections import Counter as Count
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_RECONCILE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_AGENT = ("namespace", "agent")

RUNNER_STATES = ("starting", "ready", "draining", "lost", "refused")


class OperatorMetrics:
    """The metrics of one operator process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._active = Gauge("relayrun_agentruns_running", "AgentRuns that execute now.", _AGENT, registry=registry)
        self._queued = Gauge("relayrun_agentruns_queued", "AgentRuns that wait for a slot.", _AGENT, registry=registry)
        self._runners = Gauge(
            "relayrun_runners",
            "Runners that are `starting`, `ready`, `draining`, `lost` or `refused`: they have another token.",
            (*_AGENT, "state"),
            registry=registry,
        )
        self._runs = Counter("relayrun_agentruns", "AgentRuns that ended.", (*_AGENT, "outcome"), registry=registry)
        self._attempts = Counter(
            "relayrun_agentrun_attempts", "Attempts given out.", (*_AGENT, "reason"), registry=registry
        )
        self._deaths = Counter(
            "relayrun_runner_deaths",
            "Processes and containers of runners that ended unasked.",
            (*_AGENT, "reason"),
            registry=registry,
        )
        self._start = Histogram(
            "relayrun_agentrun_start_seconds",
            "From an AgentRun's arrival at the operator to its claim.",
            _AGENT,
            registry=registry,
            buckets=_SECONDS,
        )
        self._resume = Histogram(
            "relayrun_agentrun_resume_seconds",
            "From the loss of a runner to the next attempt's claim.",
            _AGENT,
            registry=registry,
            buckets=_SECONDS,
        )
        self.reconcile_seconds = Histogram(
            "relayrun_reconcile_seconds",
            "How long one round of decisions took.",
            registry=registry,
            buckets=_RECONCILE_SECONDS,
        )
        self.status_writes = Counter(
            "relayrun_status_writes", "Status patches, by answer.", ("kind", "answer"), registry=registry
        )
        self._requests = Counter(
            "relayrun_apiserver_requests",
            "Requests of the operator to the API server, by the status of the answer; 0: none.",
            ("method", "code"),
            registry=registry,
        )
        self.leading = Gauge("relayrun_leading", "1 while this replica leads.", registry=registry)
        self._agents: set[str] = set()

    def api_server_answered(self, method: str, status: int) -> None:
        """The API server answered a request with this status; 0: not at all."""
        self._requests.labels(method, str(status)).inc()

    def run_ended(self, agent: str, outcome: str) -> None:
        """A run has ended for good."""
        self._runs.labels(*_labels(agent), outcome).inc()

    def attempt_given(self, agent: str, reason: str) -> None:
        """A runner was told to take a run."""
        self._attempts.labels(*_labels(agent), reason).inc()

    def run_started(self, agent: str, seconds: float) -> None:
        """The first attempt was claimed."""
        self._start.labels(*_labels(agent)).observe(seconds)

    def runners_died(self, agent: str, reason: str, count: int) -> None:
        """So many processes or containers of runners ended unasked."""
        self._deaths.labels(*_labels(agent), reason).inc(count)

    def run_resumed(self, agent: str, seconds: float) -> None:
        """A run whose runner was lost goes on."""
        self._resume.labels(*_labels(agent)).observe(seconds)

    def observe_agents(
        self, agents: Iterable[str], active: Count[str], queued: Count[str], runners: Count[tuple[str, str]]
    ) -> None:
        """How things are now; agents that are gone leave the gauges."""
        now = set(agents)
        for agent in now:
            self._active.labels(*_labels(agent)).set(active[agent])
            self._queued.labels(*_labels(agent)).set(queued[agent])
            for state in RUNNER_STATES:
                self._runners.labels(*_labels(agent), state).set(runners[agent, state])
        for agent in self._agents - now:
            self._active.remove(*_labels(agent))
            self._queued.remove(*_labels(agent))
            for state in RUNNER_STATES:
                self._runners.remove(*_labels(agent), state)
        self._agents = now

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


def _labels(agent: str) -> tuple[str, str]:
    namespace, _, name = agent.partition("/")
    return namespace, name
