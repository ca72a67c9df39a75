"""Finds the Postgres that runs on our data folder, and recognizes lock files that a dead one left behind.

A pid in a file proves nothing: after a crash or a reboot it may be anybody's. A process is ours only if it is
a postgres with our data folder, and only then is it ever signalled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from relayrun_cli.errors import PostgresError

POLL_SECONDS = 0.01
# Backends notice their postmaster's death at once, unless they are in the middle of something.
REMAINS_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Ours:
    """How a process of our server is told from all others."""

    data: Path
    cluster_name: str

    def owns(self, process: psutil.Process) -> bool:
        """Whether a process is alive and a postgres of this data folder."""
        try:
            if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
                return False
            title = process.cmdline()
            try:
                return Path(process.cwd()).samefile(self.data)
            except (psutil.AccessDenied, OSError):
                # Root in a container may not look at another user's cwd; titles are for everybody.
                return self._titled(title)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def processes(self) -> list[psutil.Process]:
        """All live processes of our server, the postmaster and those it left behind."""
        return [process for process in psutil.process_iter() if self.owns(process)]

    def postmaster(self) -> psutil.Process | None:
        """The live server that `postmaster.pid` names, if it is ours."""
        pid = pid_in(self.data / "postmaster.pid")
        if pid is None:
            return None
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None
        return process if self.owns(process) else None

    def _titled(self, title: list[str]) -> bool:
        if not title:
            return False
        if title[0].startswith(f"postgres: {self.cluster_name}: "):
            return True
        with contextlib.suppress(ValueError, IndexError):
            return title[title.index("-D") + 1] == str(self.data)
        return False


def pid_in(lock_file: Path) -> int | None:
    """The pid in the first line of a `postmaster.pid` or a socket's lock file; None if there is none."""
    try:
        return abs(int(lock_file.read_text().split("\n", 1)[0]))
    except (OSError, ValueError):
        return None


async def clear_remains(ours: Ours, socket: Path | None) -> None:
    """After a crash: wait until no process of the old server is left, then remove its lock files.

    In this order, because `postmaster.pid` is what keeps a second server from the memory and the files that a
    left-behind backend still uses. Raises `PostgresError` if one cannot be ended.
    """
    lock_files = [ours.data / "postmaster.pid"]
    if socket is not None:
        lock_files += [socket.with_name(socket.name + ".lock"), socket]
    # A postmaster that ends in order waits for its processes, then removes these.
    if not any(map(os.path.lexists, lock_files)):
        return
    left = await asyncio.to_thread(ours.processes)
    if not await all_gone(left, REMAINS_GRACE_SECONDS):
        # Orphans of our own data folder (a stopped backend, say): a postmaster would do the same to them.
        send(left, signal.SIGKILL, ours)
        if not await all_gone(left, REMAINS_GRACE_SECONDS):
            raise PostgresError(f"A process of the old Postgres does not end: {[p.pid for p in left]}.")
    for path in lock_files:
        path.unlink(missing_ok=True)


def send(processes: Iterable[psutil.Process], number: signal.Signals, ours: Ours) -> None:
    """Signal those of the processes that are (still) ours."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if ours.owns(process):
                process.send_signal(number)


async def all_gone(processes: Iterable[psutil.Process], seconds: float) -> bool:
    """Wait until all have ended (a zombie has); False if one has not within the time."""
    try:
        async with asyncio.timeout(seconds):
            for process in processes:
                await gone(process)
    except TimeoutError:
        return False
    return True


async def gone(process: psutil.Process) -> None:
    """Wait until a process, child of ours or not, has ended."""
    if sys.platform == "linux":
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return
        except OSError:  # an old kernel, or a sandbox that forbids it
            descriptor = -1
        if descriptor >= 0:
            try:
                if alive(process):  # the descriptor is surely of this process, not of a later one
                    await _readable(descriptor)
            finally:
                os.close(descriptor)
            return
    while alive(process):  # noqa: ASYNC110 - nobody tells us of another's child
        await asyncio.sleep(POLL_SECONDS)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)


def alive(process: psutil.Process) -> bool:
    """Whether this very process (not a later one of its pid) still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
