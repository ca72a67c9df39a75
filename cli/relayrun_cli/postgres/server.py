"""Starts, supervises and stops the embedded server.

locked ──▶ answers on its socket? ──yes──▶ adopted ─────────────┐
               │ no                                              ▼
               ├─ a postmaster of ours lives: wait for it ──▶ running ──killed──▶ remains gone ──▶ start
               └─ none: remains gone ──▶ start, wait out recovery ──▶ running
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg

from relayrun_cli.errors import PostgresError
from relayrun_cli.postgres import cluster
from relayrun_cli.postgres.data_folder import make_folder
from relayrun_cli.postgres.lock import FolderLock
from relayrun_cli.postgres.places import SOCKET_NAME, Places
from relayrun_cli.postgres.processes import POLL_SECONDS, Ours, alive, all_gone, clear_remains, gone, send
from relayrun_core.process.restarts import Restarts

logger = logging.getLogger("relayrun.dev")

STOP_SECONDS = 20.0
QUIT_SECONDS = 5.0
# A postmaster makes its socket at once; one without a socket for so long has lost it to a cleaner of /tmp.
SOCKETLESS_SECONDS = 3.0
SAY_WAITING_AFTER_SECONDS = 3.0
LARGEST_LOG_BYTES = 10 * 1024 * 1024
# Having run for so long, the server did not end because it cannot run.
HEALTHY_SECONDS = 10.0
# So often in a row it ended by itself: starting it again does not help.
MAX_FAILURES = 5


class EmbeddedPostgres:
    """An async context manager: holds the data folder's lock and a running server on it.

    Adopts a server that a killed predecessor left running. Leaving the block stops the server; dying inside
    it leaves it for the next. `say` is told what a person should know; `settings` override the server's.
    Entering raises `AlreadyRunningError` or `PostgresError`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._say = say
        self._settings = dict(settings or {})
        self._lock = FolderLock(self._folder)
        self._child: subprocess.Popen[bytes] | None = None
        self._process: psutil.Process | None = None
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        make_folder(self._folder)
        self._lock.__enter__()
        try:
            await self._start()
        except BaseException:
            await self._stop_quietly()
            self._lock.__exit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            self._lock.__exit__(None, None, None)

    @property
    def url(self) -> str:
        """Connects our role to our database, through the socket."""
        return cluster.url(self._socket_folder)

    def url_of(self, database: str, *, superuser: bool = False) -> str:
        """Another database of this server, for tests and administration."""
        user = cluster.SUPERUSER if superuser else cluster.ROLE
        return cluster.url(self._socket_folder, user=user, database=database)

    @property
    def pid(self) -> int:
        """The postmaster's process id, now."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def data(self) -> Path:
        """The folder with the server's data; outside the given one where its user cannot come there."""
        return self._places.data

    @property
    def user(self) -> str:
        """The user the server runs as."""
        return self._places.account.name

    async def watch(self) -> None:
        """Start the server again whenever it dies. Returns after `stop`.

        Raises `PostgresError` if it keeps ending by itself; being killed is none of its faults.
        """
        restarts, begun = Restarts(), time.monotonic()
        while True:
            if self._process is not None:
                await gone(self._process)
            if self._stopping.is_set():
                return
            self._say("Postgres ended unexpectedly; starting it again.")
            now = time.monotonic()
            healthy = now - begun > HEALTHY_SECONDS
            restarts = restarts.became_ready() if healthy else restarts
            restarts = restarts.ended(self._reap(), was_ready=healthy, started_at=begun, now=now)
            if restarts.failures > MAX_FAILURES:
                raise PostgresError(f"Postgres keeps dying:\n{cluster.last_lines(self._places.log)}")
            while (at := restarts.next_at(time.monotonic())) is not None:
                await asyncio.sleep(at - time.monotonic())
                restarts, _ = restarts.grant(1, time.monotonic())
            begun = time.monotonic()
            try:
                await self._start()
            except (PostgresError, psycopg.OperationalError) as error:
                logger.debug("Postgres did not start: %s", error)
            else:
                if not self._stopping.is_set():
                    self._say(f"Postgres runs again (process {self.pid}).")

    async def stop(self) -> None:
        """Stop the server: quickly but cleanly; else as a crash would, from which the next start recovers."""
        self._stopping.set()
        if self._process is None:
            return
        for number, seconds in (
            (signal.SIGINT, STOP_SECONDS),
            (signal.SIGQUIT, QUIT_SECONDS),
            (signal.SIGKILL, QUIT_SECONDS),
        ):
            send([self._process], number, self._ours)
            if await all_gone([self._process], seconds):
                break
        self._reap()
        self._process = None
        self._places.forget_socket_folder()

    def abandon(self) -> None:
        """Ask the server to end and do not wait: for a person who presses Ctrl-C twice."""
        self._stopping.set()
        if self._process is not None:
            send([self._process], signal.SIGINT, self._ours)

    async def _start(self) -> None:
        self._places = await asyncio.to_thread(Places, self._folder)
        self._ours = Ours(self._places.data, self._places.cluster_name)
        if await self._adopt():
            return
        await clear_remains(self._ours, self._places.socket)
        binaries = await asyncio.to_thread(self._places.binaries)
        if not self._places.initialised:
            await cluster.initialise(binaries, self._places)
            self._ours = Ours(self._places.data, self._places.cluster_name)
            if self._places.record.data:
                self._say(f"User {self.user} cannot enter {self._folder}: the data is in {self.data}.")
        cluster.check_version(self._places)
        self._socket_folder = await asyncio.to_thread(self._places.usable_socket_folder)
        self._launch(binaries)
        await self._until_ready()
        await cluster.prepare(self._socket_folder)

    async def _adopt(self) -> bool:
        """Take over a server that runs already; False if there is none (any more)."""
        postmaster = self._ours.postmaster()
        folder = self._places.record.socket_folder
        if postmaster is None:
            return False
        if folder is not None:
            self._socket_folder, self._process = folder, postmaster
            if await self._connects_before_it_ends():
                await cluster.prepare(folder)
                return True
            self._process = None
        # It runs, and nobody can reach it any more.
        send([postmaster], signal.SIGINT, self._ours)
        if not await all_gone([postmaster], STOP_SECONDS):
            send([postmaster], signal.SIGQUIT, self._ours)
        return False

    def _launch(self, binaries: Path) -> None:
        log = self._places.log
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > LARGEST_LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))
        # A file, not a pipe: the server outlives a killed parent.
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            command = cluster.server_command(binaries, self._places, self._socket_folder, self._settings)
            self._child = self._places.account.popen(command, log=descriptor)
        finally:
            os.close(descriptor)
        self._process = psutil.Process(self._child.pid)

    async def _until_ready(self) -> None:
        if not await self._connects_before_it_ends():
            self._reap()
            self._process = None
            raise PostgresError(f"Postgres does not start on {self.data}:\n{cluster.last_lines(self._places.log)}")

    async def _connects_before_it_ends(self) -> bool:
        """Wait as long as the server lives: crash recovery takes what it takes."""
        process = self._process  # `stop` takes it away, perhaps while a start waits here
        assert process is not None
        begun = time.monotonic()
        said = False
        while alive(process):
            behind = await cluster.data_folder_behind(self._socket_folder)
            if behind is not None:
                return behind == self.data  # else a copied folder's record: another server's socket
            waited = time.monotonic() - begun
            if waited > SOCKETLESS_SECONDS and not (self._socket_folder / SOCKET_NAME).exists():
                return False
            if waited > SAY_WAITING_AFTER_SECONDS and not said:
                said = True
                self._say(f"Waiting for Postgres (process {process.pid}) to recover…")
            await asyncio.sleep(POLL_SECONDS)
        return False

    def _reap(self) -> int:
        """The exit code of our child. What another started counts as killed: nobody tells us how it ended."""
        code = None if self._child is None else self._child.poll()
        return -signal.SIGKILL if code is None else code

    async def _stop_quietly(self) -> None:
        with contextlib.suppress(Exception):
            await self.stop()
