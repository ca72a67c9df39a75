"""A runner's process: started with its own end of our pipe, its output passed on, its death known at once."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TextIO
from uuid import uuid4

from relayrun_core.handover import VARIABLE as SECRETS_VARIABLE
from relayrun_core.handover import hand_over
from relayrun_core.parent import FAMILY_VARIABLE, VARIABLE, end_family

_TAIL_LINES = 30
_CHUNK_BYTES = 65536
#: A line without an end is passed on in parts: whoever decides about runs must not search megabytes again and again.
_LINE_BYTES = 1_000_000


class RunnerProcess:
    """A process that ends when this one does. `exited` resolves to its exit code, within a millisecond of its death."""

    def __init__(
        self, name: str, process: "subprocess.Popen[bytes]", parent_end: int, output: TextIO, family: str
    ) -> None:
        self.name = name
        self._family = family
        self.pid = process.pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        self._parent_end = parent_end
        self._output = output
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._unfinished_line = b""

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        secrets: Mapping[str, str] | None = None,
        folder: Path | None = None,
        output: TextIO | None = None,
    ) -> "RunnerProcess":
        """Start `command`; it finds the pipe whose end means that we are gone in RELAYRUN_PARENT_FD, and the one with
        `secrets` in RELAYRUN_SECRETS_FD.

        It leads a process group of its own: a Ctrl-C in the terminal is for us, and what it starts dies with it.
        """
        given = hand_over(secrets or {})
        child_end, parent_end = os.pipe()
        family = str(uuid4())
        try:
            process = subprocess.Popen(
                command,
                env={
                    **environment,
                    VARIABLE: str(child_end),
                    FAMILY_VARIABLE: family,
                    SECRETS_VARIABLE: str(given),
                },
                cwd=folder,
                pass_fds=(child_end, given),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                process_group=0,
            )
        except BaseException:
            os.close(parent_end)
            raise
        finally:
            os.close(child_end)
            os.close(given)
        started = cls(name, process, parent_end, output or sys.stderr, family)
        started._watch_exit()
        started._watch_output()
        return started

    @property
    def last_words(self) -> str:
        """The end of what it printed."""
        return "\n".join(self._tail).strip()

    def terminate(self) -> None:
        """Ask it to drain."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, with all that it started."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def wait(self, seconds: float) -> bool:
        """Whether it ended within the time."""
        done, _ = await asyncio.wait([self.exited], timeout=seconds)
        return bool(done)

    def _send(self, number: signal.Signals) -> None:
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _watch_exit(self) -> None:
        loop = asyncio.get_running_loop()
        if not hasattr(os, "pidfd_open"):  # not Linux: a thread that waits is nearly as quick
            waiting = loop.run_in_executor(None, self._process.wait)
            waiting.add_done_callback(lambda _: self._reap())
            return
        descriptor = os.pidfd_open(self.pid)

        def on_exit() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._reap()

        loop.add_reader(descriptor, on_exit)

    def _reap(self) -> None:
        # Before the wait, while the number cannot belong to anybody else: what the runner started ends too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        os.close(self._parent_end)
        if not self.exited.done():
            self.exited.set_result(code)
        # And what has left its group. Whoever waits for the exit need not wait for this.
        asyncio.get_running_loop().run_in_executor(None, end_family, self._family)

    def _watch_output(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe.fileno(), self._read_output, pipe)

    def _read_output(self, pipe: IO[bytes]) -> None:
        chunk = os.read(pipe.fileno(), _CHUNK_BYTES)
        if not chunk:
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            pipe.close()
        *lines, self._unfinished_line = (self._unfinished_line + chunk).split(b"\n")
        if self._unfinished_line and (not chunk or len(self._unfinished_line) > _LINE_BYTES):
            lines.append(self._unfinished_line)
            self._unfinished_line = b""
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            self._tail.append(text)
            self._output.write(f"[{self.name}] {text}\n")
        if lines:
            self._output.flush()


def free_port(host: str) -> int:
    """A port that nobody listens on just now. Should somebody take it first, the runner fails and is replaced."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
