"""The runner process: its threads and what passes between them, from its start to its drain.

```
 main thread      import graphs ─▶ graphs' loop: database, store, schemas ─▶ executor ─▶ runs … ─▶ drained ─▶ end
                       │ Readiness                                     │ GraphsLoop            │ RunTable
 protocol thread  probes … ─────────────────────────────────────▶ PUT, DELETE, watch, edits, heartbeats
                                                                       │ questions about states and histories
 reading thread                                          (when loaded) ▼ pages …
```
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import FrameType
from uuid import uuid4

from relayrun_core.database import Database
from relayrun_core.db.agents import register_store
from relayrun_core.loopback import AGENT
from relayrun_core.runner_protocol import STARTING
from relayrun_core.runner_settings import RunnerSettings
from relayrun_runner.attempt.executor import Executor
from relayrun_runner.auth.handlers import AuthorAuth
from relayrun_runner.author_errors import compact_cause, error_text
from relayrun_runner.config.load import load_config
from relayrun_runner.custom_app.app import CustomApp, CustomAppFailure
from relayrun_runner.custom_app.paths import custom_http_of
from relayrun_runner.errors import AuthLoadError, ConfigError, StoreUnavailable
from relayrun_runner.graphs.describe import GraphDescriber, register_graphs
from relayrun_runner.graphs.loading import GraphFailure, GraphRegistry
from relayrun_runner.http.app import make_app
from relayrun_runner.http.routes import Loaded, Parts
from relayrun_runner.http.server import ProtocolThread, bind
from relayrun_runner.llm.health import LlmHealth
from relayrun_runner.logs.storing import RunLogs
from relayrun_runner.loopback import CALLER, OwnServer, install
from relayrun_runner.process.exits import PART_ENDED, STOPPED, end_broken, end_process
from relayrun_runner.process.forks import Forks
from relayrun_runner.process.graphs_loop import GraphsLoop
from relayrun_runner.process.health import EssentialParts, Readiness, Watchdog
from relayrun_runner.process.loops import AuthorsLoop, run_to_end
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.process.shares import ConnectionShares
from relayrun_runner.process.shutdown import Signals, drain
from relayrun_runner.process.startup import flush_tracers, wait_for_schema, when_database_answers
from relayrun_runner.runs.assign import Assigner, Holder
from relayrun_runner.runs.table import RunTable
from relayrun_runner.runs.watch import RunnerIdentity, WatchStreams
from relayrun_runner.store.calls import store_calls
from relayrun_runner.store.vectors import open_store
from relayrun_runner.threads.reading import ReadingThread, ReadThrottle
from relayrun_runner.threads.reads import ThreadReads
from relayrun_runner.threads.state import ThreadStates

log = logging.getLogger("relayrun.runner")

# Who is told DatabaseAway asks again.
_CLAIM_TIMEOUT_SECONDS = 2.0
# What a runner that goes has reported should go with it; else it is forgotten a little later.
_TAKE_BACK_SECONDS = 2.0


class RunnerProcess:
    """One runner. Make it and call `run` in the main thread."""

    def __init__(self, settings: RunnerSettings, tell_ready: Callable[[], None] = lambda: None) -> None:
        """`tell_ready` is called once, when it takes runs."""
        self._settings = settings
        self._tell_ready = tell_ready
        self._where = settings.database
        self._shares = ConnectionShares.of(settings.database_connections)
        self._runner = asyncio.Runner(loop_factory=AuthorsLoop)
        self._loop = self._runner.get_loop()
        self._metrics = RunnerMetrics(settings.agent)
        self._table = RunTable(settings.slots, self._metrics)
        self._graphs_loop = GraphsLoop()
        self._readiness = Readiness()
        self._signals = Signals(self._on_signal)
        self._essential_parts = EssentialParts()
        self._essential_parts.add("the graphs' event loop", self._loop.is_closed)
        self._watchdog = Watchdog(
            self._loop,
            self._metrics.loop_lag_seconds,
            self._essential_parts,
            reports=not settings.allow_blocking,
            answer=self._signals.take_back,
        )
        self._registry: GraphRegistry | None = None
        self._custom_app: CustomApp | None = None
        revision = None if settings.in_dev else settings.build or None
        self._identity = Holder(settings.name, uuid4(), revision)
        identity = RunnerIdentity(settings.name, self._identity.holder, settings.build, settings.agent, settings.deaths)
        self._watching = WatchStreams(
            identity, self._table, lambda: self._watchdog.lag_seconds * 1000, self._graph_names
        )
        self._tokens = settings.tokens
        self._parts = Parts(
            self._tokens,
            self._table,
            self._graphs_loop,
            self._readiness,
            self._metrics,
            self._watching,
            self._essential_parts,
        )
        listener = bind(settings.host, settings.port)
        log.info("runner %s listens on %s:%s", settings.name, *listener.getsockname()[:2])
        self._forks = Forks(listener.getsockname()[1], [self._loop])
        self._thread = ProtocolThread(make_app(self._parts), listener, self._beside_protocol)
        # The first two belong to the protocol's loop, the last to the graphs'.
        self._told_to_drain = asyncio.Event()
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()

    def run(self) -> None:
        """Serve until drained. Author code loads here, before the graphs' loop runs."""
        self._thread.start()
        self._signals.install()
        self._forks.guard()
        install(OwnServer(self._settings.api_url, self._tokens))
        # Of this thread and the graphs' loop, until a run says that it is the run's.
        CALLER.set(AGENT)
        registry = self._load()
        self._signals.take_back()
        serving = run_to_end(self._loop, self._serve_graphs(registry))
        error = None if serving.cancelled() else serving.exception()
        if not self._drained.is_set():
            log.critical("the graphs' event loop has nothing left to do", exc_info=error)
            end_process(PART_ENDED, "its graphs' event loop ended")
        if error is not None:
            log.error("not everything was closed in order", exc_info=error)

    def close(self) -> None:
        """What is left after `run`. It waits for threads of the author's, and they may never end."""
        try:
            self._runner.close()
        except BaseException as error:  # noqa: BLE001 - author code is cancelled here, and may raise anything
            log.warning("author code ended with %s when its loop was closed", error_text(error))
        self._thread.stop()

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        # In the main thread, between two instructions of whatever runs there: only hand the news over.
        if self._table.draining:
            end_process(STOPPED, "told twice to stop")
        self._thread.loop.call_soon_threadsafe(self._told_to_drain.set)

    def _load(self) -> GraphRegistry | None:
        try:
            settings = self._settings
            self._registry = GraphRegistry.load(
                load_config(settings.config_path), in_dev=settings.in_dev, agent=settings.agent, build=settings.build
            )
            self._custom_app = CustomApp.load(self._registry.config)
            self._parts.auth = AuthorAuth.load(self._registry.config)
        except ConfigError as error:
            self._stay_unready("config", error)
        except AuthLoadError as error:
            self._stay_unready("auth", error)
            return None
        return self._registry

    async def _serve_graphs(self, registry: GraphRegistry | None) -> None:
        async with AsyncExitStack() as stack:
            if registry is not None:
                await self._prepare(stack, registry)
            await self._drained.wait()
            await flush_tracers()

    async def _prepare(self, stack: AsyncExitStack, registry: GraphRegistry) -> None:
        """Everything between the import of the graphs and the first run."""
        settings = self._settings
        database = await stack.enter_async_context(
            Database.open(self._where, role="runner", max_size=self._shares.graphs, when_broken=end_broken)
        )
        self._essential_parts.add("the pool of connections", lambda: database.pool.closed)
        self._forks.add(database)
        try:
            store = await stack.enter_async_context(open_store(self._where, registry.config, self._shares.store))
        except (ConfigError, StoreUnavailable) as error:
            self._stay_unready("store", error)
            return
        self._essential_parts.add("the store's pool of connections", lambda: store.database.pool.closed)
        await stack.enter_async_context(registry.running(store))
        if self._report_failures(registry):
            return
        await wait_for_schema(database, registry.config, self._readiness)
        http = custom_http_of(registry.config.http, self._custom_app.takes if self._custom_app is not None else ())
        await when_database_answers(
            lambda: register_graphs(registry, database, agent=settings.agent, build=settings.build, http=http),
            self._readiness,
        )
        indexed = store.index_config is not None
        await when_database_answers(
            lambda: register_store(database, agent=settings.agent, indexed=indexed), self._readiness
        )
        if self._custom_app is not None:
            # Its startup may look for its assistants in the API, or make crons of them.
            await stack.enter_async_context(self._custom_app.running())
            if self._report_failures(registry):
                return
        logs = await stack.enter_async_context(RunLogs.storing(database, settings.run_log_bytes))
        executor = Executor(registry, database, store, settings, self._table, self._essential_parts, logs)
        reading = stack.enter_context(ReadingThread.serving(self._where))
        self._parts.loaded = Loaded(
            states=ThreadStates(registry, database, store, most=self._shares.edits),
            reads=ThreadReads(
                registry, store, self._graphs_loop, reading, ReadThrottle(lambda: self._table.active > 0)
            ),
            describer=GraphDescriber(registry),
            store=store_calls(store),
            custom_app=self._custom_app,
        )
        self._graphs_loop.open(self._loop, executor)
        self._thread.loop.call_soon_threadsafe(self._ready.set)

    def _report_failures(self, registry: GraphRegistry) -> bool:
        """Whether something of the author's failed, which keeps this runner from being ready."""
        failures: dict[str, GraphFailure | CustomAppFailure] = {
            f"graph {name}": failure for name, failure in registry.failures.items()
        }
        if self._custom_app is not None and self._custom_app.failure is not None:
            failures["http.app"] = self._custom_app.failure
        for subject, failure in failures.items():
            self._set_trouble(subject, f"{subject}: {failure.message}", failure.traceback)
        return bool(failures)

    def _stay_unready(self, subject: str, error: Exception) -> None:
        # A supervisor that restarted this process would only see the same again; `dev` shows it and waits for an edit.
        self._set_trouble(subject, str(error), compact_cause(error))

    def _set_trouble(self, subject: str, sentence: str, traceback: str | None) -> None:
        if traceback:  # at whose end the exception stands with all that it says
            sentence = sentence.partition("\n")[0]
        if not self._settings.in_dev:  # `dev` tells it, once for all runners
            log.error("%s", sentence, extra={"lines": traceback} if traceback else None)
        self._readiness.set(subject, sentence, traceback)
        self._readiness.clear(STARTING)

    async def _beside_protocol(self) -> None:
        """On the protocol's loop, as long as its server: the claims, the watchdog, the models' health, the drain."""
        settings, table, graphs_loop = self._settings, self._table, self._graphs_loop
        async with (
            Database.open(
                self._where,
                role="runner",
                max_size=self._shares.claims,
                timeout_seconds=_CLAIM_TIMEOUT_SECONDS,
                when_broken=end_broken,
            ) as database,
            asyncio.TaskGroup() as tasks,
        ):
            self._essential_parts.add("the pool of the claims' connections", lambda: database.pool.closed)
            self._forks.add(database)
            assigner = Assigner(self._identity, database, table, graphs_loop, tasks, settings.cancel_grace_seconds)
            self._parts.assigner = assigner
            watchdog = tasks.create_task(self._when_ready(assigner))
            health = tasks.create_task(self._check_llm(database))
            await self._told_to_drain.wait()
            until = asyncio.get_running_loop().time() + settings.drain_grace_seconds
            health.cancel()
            await drain(table, graphs_loop, self._watching, settings.drain_grace_seconds)
            # From here on nothing may call the graphs' loop, which is about to close.
            watchdog.cancel()
            await asyncio.wait([health], timeout=_TAKE_BACK_SECONDS)
            graphs_loop.close()
            if (loaded := self._parts.loaded) is not None and loaded.custom_app is not None:
                await loaded.custom_app.close(until - asyncio.get_running_loop().time())
            self._loop.call_soon_threadsafe(self._drained.set)
            await asyncio.Event().wait()  # until the server has ended

    async def _when_ready(self, assigner: Assigner) -> None:
        await self._ready.wait()
        assigner.offer(self._graph_names())
        self._readiness.clear(STARTING)
        self._tell_ready()
        log.info("runner %s is ready: %s", self._settings.name, ", ".join(self._graph_names()))
        await self._watchdog.run()

    async def _check_llm(self, database: Database) -> None:
        await self._ready.wait()  # before, the environment lacks what langgraph.json and author code put there
        await LlmHealth(self._settings, self._identity.holder, database).run()

    def _graph_names(self) -> list[str]:
        return [] if self._registry is None else self._registry.names
