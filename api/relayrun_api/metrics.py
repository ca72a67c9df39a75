"""The Prometheus metrics of an API process. Labels are from fixed sets: never a run, a thread or a path as sent."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

from relayrun_core.db.queue import AgentLoad

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._active_threads = self._gauge("active_threads", "Threads with a running run.", "agent")
        self._queued_runs = self._gauge("queued_runs", "Runs that wait for a runner or their thread.", "agent")
        self._oldest = self._gauge("queue_oldest_seconds", "Age of the oldest waiting run.", "agent")
        self.sse_connections = self._gauge("sse_connections", "Open event streams.")
        self.cron_fires = Counter(
            "relayrun_cron_fires",
            "Times that crons were due here: `started`, `refused`, or `busy`, not wanted beside their thread's run.",
            ("outcome",),
            registry=self._registry,
        )
        for outcome in ("started", "busy", "refused"):
            self.cron_fires.labels(outcome)
        self.webhooks = Counter(
            "relayrun_webhooks",
            "Tries to deliver a webhook: `delivered`, `put_off` to a later try, `given_up`.",
            ("outcome",),
            registry=self._registry,
        )
        for outcome in ("delivered", "put_off", "given_up"):
            self.webhooks.labels(outcome)
        self.events_forgotten = Counter(
            "relayrun_journal_events_forgotten",
            "Events removed here because their runs ended long ago.",
            registry=self._registry,
        )
        self._http = Histogram(
            "relayrun_http_request_seconds",
            "From the request to the start of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer that began `seconds` after its request."""
        route = getattr(scope.get("route"), "path", "unknown")
        self._http.labels(scope["method"], route, f"{status // 100}xx").observe(seconds)

    def render(self, load: Iterable[AgentLoad]) -> bytes:
        """The text format, with the load as it is now."""
        for gauge in (self._active_threads, self._queued_runs, self._oldest):
            gauge.clear()
        for entry in load:
            self._active_threads.labels(entry.agent).set(entry.running)
            self._queued_runs.labels(entry.agent).set(entry.queued)
            self._oldest.labels(entry.agent).set(entry.oldest_queued_seconds or 0)
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"relayrun_{name}", text, labels, registry=self._registry)
