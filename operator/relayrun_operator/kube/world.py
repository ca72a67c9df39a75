"""The world of one leader: observes objects and runners, asks the engine, carries out its decisions.

```
  AgentRuns, Agents, pods (kopf) ─▶ Observer ─┐                                   ┌─▶ PUT, DELETE to runners
  runners' watch streams ─────────────────────┼─▶ Cache, AgentRuns ─▶ Decider ────┼─▶ pods
                                              │                                   └─▶ status, Events
  a slow list, for what watches missed ───────┘
```
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import assert_never

from relayrun_core.runner_protocol import AttemptState, RunReport, StopAction
from relayrun_core.states import CancelAction
from relayrun_operator.engine.loss import TICK_SECONDS
from relayrun_operator.kube.agentruns import AgentRuns
from relayrun_operator.kube.agents import Agents
from relayrun_operator.kube.cleaning import clean_forever
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.deaths import Deaths
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.events import EventPoster
from relayrun_operator.kube.handlers import watch
from relayrun_operator.kube.keeping import RevisionKeeper
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.listing import Lister
from relayrun_operator.kube.manifests import Installation
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.observer import Observer
from relayrun_operator.kube.pins import Pins
from relayrun_operator.kube.pool import KubePool
from relayrun_operator.kube.ports import KubePorts
from relayrun_operator.kube.records import RunRecord
from relayrun_operator.kube.runner import PodRunner, has_ended
from relayrun_operator.kube.runwatch import watch_runs
from relayrun_operator.kube.token import NamespaceTokens
from relayrun_operator.kube.writer import StatusWriter
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.calls import RunnerCalls
from relayrun_operator.loop.decider import Decider
from relayrun_operator.loop.transport import RunnerUnreachable
from relayrun_operator.loop.watch import watch_runner
from relayrun_operator.loop.workqueue import WorkQueue
from relayrun_operator.settings import OperatorSettings

logger = logging.getLogger("relayrun.kube")

#: How long a new leader waits to hear from runners that are ready, before it gives out runs.
_SETTLE_SECONDS = 5.0

#: After a death the runs go first: pods can wait for that long.
_POOL_LATER_SECONDS = 0.02


class KubeWorld:
    """Everything a leader does. `tasks` owns what it starts; `run` it there, once."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        settings: OperatorSettings,
        client: KubeClient,
        lease: Lease,
        metrics: OperatorMetrics,
        tokens: Mapping[str, NamespaceTokens],
        claim_signals: Callable[[], None],
    ) -> None:
        self._tasks = tasks
        self._settings = settings
        self._client = client
        self._lease = lease
        self._claim_signals = claim_signals
        self._wake = asyncio.Event()
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._heard = asyncio.Event()
        self._adjusting: asyncio.TimerHandle | None = None
        self._settled = False
        self._cache = Cache[PodRunner](WorkQueue(self._wake.set), time.monotonic)
        self._events = events = EventPoster(client, settings.pod_name)
        self._agentruns = AgentRuns(StatusWriter(client, lease, tasks, metrics, "AgentRun"), events, metrics)
        self._agents = Agents(self._cache, StatusWriter(client, lease, tasks, metrics, "Agent"), events, metrics)
        self._deaths = Deaths(events, metrics, self._agents.by_key, self._agentruns.died)
        self._pins = pins = Pins(self._cache, self._agents.by_key, self._agentruns)
        installation = Installation(
            settings.runner_token_secret, settings.api_url, settings.node_loss_seconds, settings.runner_defaults
        )
        self._observer = observer = Observer(
            self._cache,
            self._agentruns,
            self._agents,
            self._deaths,
            pins,
            tokens=tokens,
            installation=installation,
            listen=self._listen,
            leave=self._leave,
            wake=self._on_change,
            displace=self._displace,
        )
        self._lister = Lister(
            client, settings.namespaces, self._cache, self._agentruns, self._agents.by_key, self._observer
        )
        self._pool = KubePool(
            client,
            lease,
            tasks,
            self._cache,
            installation=installation,
            on_pod=observer.see_pod,
            on_agent=lambda _: self._adjust_soon(),
        )
        self._ports = KubePorts(
            self._cache,
            self._agentruns,
            self._agents,
            self._pool,
            pins,
            RevisionKeeper(client, lease, tasks),
            client=client,
            lease=lease,
            metrics=metrics,
        )
        calls = RunnerCalls[PodRunner](tasks, self._cache, self._ports)
        self._decider = Decider(self._cache, calls, self._ports, self._wake, settings.lost_after_seconds)

    @property
    def silent_seconds(self) -> float:
        """How long ago the API server was heard last."""
        return time.monotonic() - self._observer.heard_at if self._settled else 0.0

    async def run(self) -> None:
        """See to the namespaces until cancelled."""
        began = time.monotonic()
        self._tasks.create_task(self._events.run(), name="events")
        await self._lister.list_all()
        await self._hear_runners()
        self._settled = True
        self._log_what_there_is(time.monotonic() - began)
        watching = watch(self._observer, self._settings.namespaces, self._claim_signals)
        self._tasks.create_task(watching, name="watches")
        for namespace in self._settings.namespaces:
            runs = watch_runs(self._client, namespace, self._observer)
            self._tasks.create_task(runs, name=f"watch AgentRuns of {namespace}")
        self._tasks.create_task(self._lister.relist_forever(), name="relist")
        cleaning = clean_forever(self._client, self._lease, self._agentruns, self._agents.by_key)
        self._tasks.create_task(cleaning, name="cleaning")
        self._cache.resync()
        await self._decider.run()

    def on_report(self, runner: PodRunner, reported: RunReport) -> None:
        """See `Listener`."""
        match reported.state:
            case AttemptState.FINISHED:
                self._agentruns.ended(reported.run_id, reported.attempt, reported, runner.name)
            case AttemptState.RUNNING | AttemptState.CANCELLING:
                self._agentruns.runs(reported.run_id, runner.name, reported)
                self._pins.learn(reported.run_id, str(runner.generation))
            case AttemptState.CLAIMING | AttemptState.DRAINED | AttemptState.ABANDONED:
                pass  # the next assignment says more
            case never:
                assert_never(never)

    def on_unknown(self, runner: PodRunner, run_id: str) -> None:
        """A runner executes a run whose AgentRun is gone, or says that it ended, while nobody led: it is cancelled."""
        record = self._agentruns.by_run.get(run_id)
        if record is not None and not record.finished:
            return
        report = runner.reports.get(run_id)
        if report is not None and report.state.holds:
            logger.info("run %s has no unfinished AgentRun any more: it is cancelled", run_id)
            self._tasks.create_task(self._cancel_unknown(runner, run_id, report.attempt), name=f"cancel {run_id}")

    def on_deaths(self, runner: PodRunner, deaths: Mapping[str, int]) -> None:
        """How the processes before it in its pod ended."""
        self._deaths.see_deaths(runner, deaths)

    def on_runner(self, runner: PodRunner) -> None:
        """It became ready, or down, or told why it is not ready."""
        logger.debug("runner %s: ready %s, down %s", runner.name, runner.ready, runner.down)
        self._heard.set()
        self._wake.set()
        self._adjust_soon()

    async def _hear_runners(self) -> None:
        """Ask the runners first: what they execute is adopted, and not given out again."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self._unheard() and time.monotonic() < deadline:
            self._decider.listen()
            self._heard.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._heard.wait()

    def _unheard(self) -> bool:
        """Whether a runner may execute runs that nobody has told us of."""
        runners = self._cache.runners.values()
        return any(r.holder is None and (r.ip if r.draining else r.serving) for r in runners)

    def _log_what_there_is(self, seconds: float) -> None:
        unfinished = sum(1 for _ in self._agentruns.unfinished())
        logger.info(
            "after %.1f s: %d agents, %d runners, %d runs, of which %d have not ended",
            seconds,
            len(self._agents.by_key),
            len(self._cache.runners),
            len(self._agentruns.by_run),
            unfinished,
        )

    def _listen(self, runner: PodRunner) -> None:
        self._leave(runner)
        if not has_ended(runner.pod):
            work = watch_runner(runner, self._cache, self)
            self._streams[runner.name] = self._tasks.create_task(work, name=f"runner {runner.name}")

    def _leave(self, runner: PodRunner) -> None:
        stream = self._streams.pop(runner.name, None)
        if stream is not None:
            stream.cancel()
        if has_ended(runner.pod):
            self._pool.remove(runner)

    def _displace(self, record: RunRecord, others: list[str], action: CancelAction) -> None:
        self._tasks.create_task(self._ports.displace(record, others, action), name=f"displace for {record.run_id}")

    def _on_change(self) -> None:
        self._wake.set()
        self._adjust_soon()

    def _adjust_soon(self) -> None:
        if self._adjusting is None and self._settled:
            self._adjusting = asyncio.get_running_loop().call_later(_POOL_LATER_SECONDS, self._adjust_now)

    def _adjust_now(self) -> None:
        self._adjusting = None
        self._ports.adjust(self._decider.silent)

    async def _cancel_unknown(self, runner: PodRunner, run_id: str, attempt: int) -> None:
        with suppress(RunnerUnreachable, KubeError):
            self._lease.check()
            await runner.client.stop(run_id, attempt, StopAction.INTERRUPT)
