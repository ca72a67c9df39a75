"""One session of `relayrun dev`, from the first check to the last process's end.

lock, Postgres ─▶ LangGraph's migrations │ API process │ local world │ reconciler │ reload ─▶ banner … stop, in reverse
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from secrets import token_urlsafe
from typing import Any

import aiohttp

from relayrun_api.console import is_built
from relayrun_cli.dev import processes
from relayrun_cli.dev.banner import Screen, can_show_browser, open_browser, studio_address
from relayrun_cli.dev.changes import Sources
from relayrun_cli.dev.children import Child
from relayrun_cli.dev.database import DevDatabase, open_database
from relayrun_cli.dev.migrations import migrate_langgraph
from relayrun_cli.dev.options import DEFAULT_PORT, DevOptions
from relayrun_cli.dev.ports import choose_port, reachable_host
from relayrun_cli.dev.reconciling import reconcile_forever
from relayrun_cli.dev.reload import Reloader
from relayrun_cli.dev.signals import until_signalled
from relayrun_cli.dev.starting import DATABASE
from relayrun_cli.errors import CliError
from relayrun_cli.postgres.data_folder import make_folder
from relayrun_cli.postgres.lock import FolderLock
from relayrun_core.logs import configure_logging
from relayrun_core.runner_requests import OWN_PREFIX
from relayrun_operator.local.starter import Starters
from relayrun_operator.local.world import LocalWorld
from relayrun_runner.config.environment import import_folders, remarks
from relayrun_runner.config.load import load_config
from relayrun_runner.config.model import Config
from relayrun_runner.errors import ConfigError

API_STOP_SECONDS = 3.0
START_SECONDS = 60.0
POLL_SECONDS = 0.05
# A killed dev's API ends at once, but not in no time.
CRASHED_PORT_SECONDS = 3.0


async def run_dev(options: DevOptions, secrets: Mapping[str, str], starters: Starters) -> None:
    """Run until a signal. Raises `CliError` for whatever the person can put right.

    `secrets` are the environment's, by variable.
    """
    configure_logging(options.log_level)
    config = _checked_config(options)
    auth = options.auth or ("none" if config.auth is None else "custom")
    session = Session(replace(options, auth=auth), config, secrets, starters)
    try:
        await until_signalled(session.run(), session.abandon)
    except BaseExceptionGroup as group:
        # The task group's wrapping says nothing to a person.
        ours, _ = group.split(CliError)
        if ours is None:
            raise
        raise _first(ours) from group


class Session:
    """What runs together."""

    def __init__(self, options: DevOptions, config: Config, secrets: Mapping[str, str], starters: Starters) -> None:
        """`secrets` are the environment's, by variable."""
        self._options = options
        self._config = config
        self._secrets = secrets
        self._starters = starters
        self._screen = Screen()
        self._port = 0
        self._database: DevDatabase | None = None

    async def run(self) -> None:
        """Start all, keep it running until cancelled, stop all."""
        options = self._options
        for warning in (*self._config.warnings, *self._config.notes, *remarks(self._config, env_wins=True)):
            self._screen.warn(warning)
        self._port = await asyncio.to_thread(self._choose_port)
        if options.port is None and self._port != DEFAULT_PORT:
            self._screen.warn(f"Port {DEFAULT_PORT} is taken: the API listens on port {self._port}.")
        self._screen.say(f"Starting Postgres, the API and {options.runners} runners…")
        async with open_database(options.data, self._secrets.get(DATABASE), self._screen.say) as database:
            self._database = database
            await self._run_parts(database)

    def _choose_port(self) -> int:
        options = self._options
        make_folder(options.data)
        # A second dev is told of the first one, and not of its port. The lock itself is taken with the database.
        with FolderLock(options.data) as lock:
            wait_seconds = CRASHED_PORT_SECONDS if lock.after_a_crash else 0.0
        return choose_port(options.host, options.port, DEFAULT_PORT, wait_seconds=wait_seconds)

    def abandon(self) -> None:
        """For a second Ctrl-C: leave nothing running, and do not wait."""
        if self._database is not None:
            self._database.abandon()

    @property
    def _origin(self) -> str:
        return f"http://{reachable_host(self._options.host)}:{self._port}"

    @property
    def url(self) -> str:
        """Where the API answers."""
        return self._origin + (self._config.http.mount_prefix if self._config.http else "")

    def _protocols(self) -> dict[str, str]:
        """Where other agents call these."""
        off = self._config.http.disabled if self._config.http else ()
        at = {"mcp": ("MCP", f"{self.url}/mcp"), "a2a": ("A2A", f"{self.url}/a2a/{{assistant_id}}")}
        return dict(found for part, found in at.items() if part not in off)

    async def _run_parts(self, database: DevDatabase) -> None:
        options, token = self._options, self._secrets.get("RELAYRUN_RUNNER_TOKEN") or token_urlsafe(32)
        sources = Sources(import_folders(self._config), _single_files(self._config))
        build = await asyncio.to_thread(sources.hash)
        api = Child(
            "API",
            self._starters.api,
            processes.api_environment(options, self._port, self._config.http),
            secrets=processes.api_secrets(self._secrets, database.url, token),
            say=self._screen.warn,
        )
        settings = processes.world_settings(options, self._config.folder, token, build, self.url)
        world = LocalWorld(settings, database.url, self._starters.runners)
        world.announce()
        parts: list[Coroutine[Any, Any, None]] = [
            database.watch(),
            api.keep_running(),
            migrate_langgraph(self._starters.further, database.url, str(options.config)),
            reconcile_forever(database.url),
        ]
        if options.reload and options.debug_port is None:
            has_auth = self._config.auth is not None
            parts.append(Reloader(options.config, sources, build, world, self._screen, has_auth=has_auth).run())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in parts]
            working = group.create_task(world.run())  # its runners wait for the migrations
            try:
                await self._greet(database, world, api)
                await asyncio.Event().wait()
            finally:
                self._screen.say("Stopping: unfinished runs continue at the next start.")
                await asyncio.gather(_cancelled(working), api.stop(API_STOP_SECONDS))
                for task in tasks:
                    task.cancel()

    async def _greet(self, database: DevDatabase, world: LocalWorld, api: Child) -> None:
        """The banner, once the API lives and runners are ready, or have said why not."""
        options = self._options
        if options.wait_for_client:
            self._screen.warn(f"The runner waits for a debugger on port {options.debug_port}.")
        await _answers(api, self._origin)
        ready = asyncio.ensure_future(world.ready())
        try:
            while not (ready.done() or world.problems or options.wait_for_client):
                await asyncio.wait([ready], timeout=POLL_SECONDS)
            studio = studio_address(options.studio_url, self.url)
            self._screen.banner(
                {
                    "API": self.url,
                    "Docs": f"{self.url}/docs",
                    "Console": self._console if is_built() else "not built: see its page",
                    "Studio": studio,
                    **self._protocols(),
                    "Graphs": ", ".join(self._config.graphs),
                    "Runners": f"{options.runners}, {options.slots} runs each"
                    + ("" if ready.done() else "; none is ready yet"),
                    "Database": database.described,
                    "Data": str(options.data),
                    "Access": _access(options.auth, self._config),
                    **self._problem(world.problems),
                }
            )
        finally:
            ready.cancel()
        if options.browser and can_show_browser():
            await asyncio.to_thread(open_browser, self._console if is_built() else studio)

    @property
    def _console(self) -> str:
        # The project's own app may have /console.
        has_app = self._config.http is not None and self._config.http.app is not None
        return f"{self.url}{OWN_PREFIX if has_app else ''}/console"

    def _problem(self, problems: Sequence[str]) -> dict[str, str]:
        if not problems:
            return {}
        watched = self._options.reload and self._options.debug_port is None
        do = "the fixed code is loaded automatically" if watched else "fix it and start again"
        return {"Problem": f"{'; '.join(problem.partition(chr(10))[0] for problem in problems)}: {do}"}


def _access(auth: str | None, config: Config) -> str:
    if auth == "none":
        unused = "" if config.auth is None else f"; RELAYRUN_AUTH=none, so {config.auth.path} is not asked"
        return f"no authentication: whoever reaches this address may use it{unused}"
    if auth == "custom" and config.auth is not None:
        return f"{config.auth.path} says who may, as langgraph.json has it"
    return f"{auth}, as RELAYRUN_AUTH says"


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])  # its error, if it has one, is the task group's


async def _answers(api: Child, url: str) -> None:
    """Wait until the API serves. It has said itself why, if it does not."""
    try:
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as client:
            await api.begun()
            while True:
                with suppress(aiohttp.ClientError):
                    async with client.get(f"{url}/healthz") as answer:
                        if answer.ok:
                            return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise CliError(f"The API did not start within {START_SECONDS:.0f} s; its output is above.") from None


def _checked_config(options: DevOptions) -> Config:
    if options.debug_port is not None and importlib.util.find_spec("debugpy") is None:
        raise CliError("--debug-port needs debugpy in this environment: pip install debugpy")
    try:
        return load_config(options.config)
    except ConfigError as error:
        raise CliError(str(error)) from error


def _single_files(config: Config) -> list[Any]:
    return [config.file, *([config.path(config.env)] if isinstance(config.env, str) else [])]


def _first(group: BaseExceptionGroup[CliError]) -> CliError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CliError)
    return error
