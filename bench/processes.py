"""Starts a server on a free loopback port in a folder of its own, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import httpx
import psutil

START_SECONDS = 90.0
STOP_SECONDS = 20.0
ORPHAN_SECONDS = 5.0
LOG_NAME = "server.log"
LOG_LINES = 30
_POLL_SECONDS = 0.02
# Of those that Linux gives to connections, one would be somebody else's by the time that a server listens on it.
_PORTS = range(10_000, 32_000)
# Reads pids, the newest counts and an empty line none, until its input ends: who was killed has not said an empty line.
_WATCH = """
while read -r told; do pid=$told; done
[ -n "$pid" ] || exit 0
kill -INT "$pid" && kill -CONT "$pid"
left=$1
while kill -0 "$pid" && [ "$left" -gt 0 ]; do sleep 1; left=$((left - 1)); done
kill -KILL "$pid"
"""
QUIET = {
    "LANGSMITH_TRACING": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LOG_LEVEL": "warning",
    "NO_COLOR": "1",
}


class ServerStartError(Exception):
    """A server did not start; the message has the end of its log."""


@contextlib.contextmanager
def work_folder(name: str, source: Path) -> Iterator[Path]:
    """A temporary copy of a folder: servers write beside their configuration. Removed afterwards."""
    folder = None
    try:
        with _held_back():
            folder = Path(tempfile.mkdtemp(prefix=f"relayrun-{name}-"))
        # As root, Postgres runs as another user, who must pass through to its data.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        yield folder
    finally:
        if folder is not None:
            with undisturbed():
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def started(name: str, command: Sequence[str], folder: Path, url: str) -> Iterator[int]:
    """The server's pid, once it answers `/ok`. Raises `ServerStartError` when it does not."""
    log = folder / LOG_NAME
    process = None
    with ended_with_us() as watch:
        try:
            with log.open("wb") as output, _held_back():
                # A session of its own: Ctrl-C in the terminal reaches only us, and we stop the server in order.
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=quiet_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                watch(process.pid)
            wait_until_it_answers(name, process, url, log)
            yield process.pid
        finally:
            if process is not None:
                with undisturbed():
                    stop(process, folder)


@contextlib.contextmanager
def ended_with_us() -> Iterator[Callable[[int], None]]:
    """Tell the function a server's pid, again after a restart: should we be killed, it is stopped as by Ctrl-C."""
    with subprocess.Popen(
        ["sh", "-c", _WATCH, "watch", f"{STOP_SECONDS:.0f}"],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watcher:
        pipe = watcher.stdin
        assert pipe is not None
        try:
            yield lambda pid: _tell(pipe, f"{pid}\n")
        finally:
            _tell(pipe, "\n")


def _tell(pipe: IO[bytes], line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # somebody ended the watcher: the server is not watched any more
        pipe.write(line.encode())


def processes_that_name(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names the folder, this one and its parents excepted."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in ours and any(str(folder) in word for word in process.cmdline()):
                found.append(process)
    return found


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def local_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def quiet_environment() -> dict[str, str]:
    """Ours, less what would have the server use somebody's database or settings."""
    kept = {k: v for k, v in os.environ.items() if k != "DATABASE_URL" and not k.startswith("RELAYRUN_")}
    return kept | QUIET


def wait_until_it_answers(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    # One client: each makes ready for TLS, which would take a good part of a processor from the server that starts.
    with httpx.Client(timeout=2) as client:
        while time.monotonic() < until:
            if process.poll() is not None:
                raise ServerStartError(f"{name} ended with {process.returncode}:\n{end_of(log)}")
            with contextlib.suppress(httpx.HTTPError):
                if client.get(f"{url}/ok").status_code == httpx.codes.OK:
                    return
            time.sleep(_POLL_SECONDS)
    raise ServerStartError(f"{name} did not answer {url}/ok within {START_SECONDS:.0f} s:\n{end_of(log)}")


def stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    """In order, by force after a while, and so whatever it left running on its folder, which is told."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    if process.poll() is None:
        print(f"{process.args!r} did not stop within {STOP_SECONDS:.0f} s: killed")
        process.kill()
        process.wait()
    # The processes of a killed server end when they see that it is gone: give them the moment that takes.
    _, alive = psutil.wait_procs(processes_that_name(folder), timeout=ORPHAN_SECONDS)
    for left in alive:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            print(f"left running by the server, killed: {left.pid} {' '.join(left.cmdline()[:4])}")
            left.kill()
            left.wait(ORPHAN_SECONDS)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """A Ctrl-C comes at the end: in the middle, a process or a file would be there and nobody would know it."""
    came: list[int] = []
    with _handled_by(lambda number, _frame: came.append(number)):
        yield
    for number in came[:1]:
        signal.raise_signal(number)


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """Another Ctrl-C must not cut the cleaning up short; it takes half a minute at most."""
    return _handled_by(signal.SIG_IGN)


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, before in kept.items():
            signal.signal(number, before)


def end_of(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
