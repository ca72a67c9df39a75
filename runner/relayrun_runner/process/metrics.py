"""The Prometheus metrics of a runner. Labels come from fixed sets: never a run or a thread."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class RunnerMetrics:
    """The metrics of one runner process, in a registry of their own. Safe to use from any thread."""

    def __init__(self, agent: str) -> None:
        self.registry = CollectorRegistry()
        self._agent = agent
        self.runs = self._counter("runs", "Runs that ended here, by how.", "outcome")
        self.run_attempts = self._counter("run_attempts", "Attempts begun here: `first`, or `resume`.", "reason")
        self.refusals = self._counter("refusals", "Runs refused before a claim, by why.", "reason")
        self.run_start_seconds = self._histogram("run_start_seconds", "From a run's creation to its first event.")
        self.run_resume_seconds = self._histogram(
            "run_resume_seconds", "From the claim of a later attempt to when its graph goes on."
        )
        self.run_duration_seconds = self._histogram("run_duration_seconds", "From a run's creation to its end.")
        self.journal_lag_seconds = self._gauge("journal_lag_seconds", "Age of the oldest event not yet written.")
        self.loop_lag_seconds = self._gauge("loop_lag_seconds", "How late the graphs' event loop answers.")
        self.ids_ahead_seconds = self._gauge(
            "checkpoint_ids_ahead_seconds", "How far checkpoint ids run ahead of the clock, because a thread's did."
        )
        self.active_runs = self._gauge("active_runs", "Runs that occupy a slot.")
        self.slots = self._gauge("slots", "Room for runs.")

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, label: str) -> "LabelledCounter":
        counter = Counter(f"relayrun_{name}", text, ("agent", label), registry=self.registry)
        return LabelledCounter(counter, self._agent)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"relayrun_{name}", text, ("agent",), registry=self.registry).labels(self._agent)

    def _histogram(self, name: str, text: str) -> Histogram:
        histogram = Histogram(f"relayrun_{name}", text, ("agent",), registry=self.registry, buckets=_SECONDS)
        return histogram.labels(self._agent)


class LabelledCounter:
    """A counter of this agent with one more label."""

    def __init__(self, counter: Counter, agent: str) -> None:
        self._counter = counter
        self._agent = agent

    def add(self, label: str) -> None:
        """Count one."""
        self._counter.labels(self._agent, label).inc()
