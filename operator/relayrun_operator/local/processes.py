"""A supervised process: passes on its output, notices its death at once, and ends all that it has started with it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from relayrun_core.process.parent import FAMILY_VARIABLE, VARIABLE, end_family
from relayrun_core.process.secrets import VARIABLE as SECRETS_VARIABLE
from relayrun_core.process.secrets import hand_over
from relayrun_operator.local.output import Output


class SupervisedProcess:
    """A process that ends when this one does. `exited` resolves to its exit code, within a millisecond of its death."""

    def __init__(self, name: str, output: Output, parent_end: int, family: str) -> None:
        """`parent_end` is our end of the pipe whose other end it has; `family` is in its environment.

        Whoever starts it calls `began` and `ended`.
        """
        self.name = name
        self._pid: int | None = None
        self._begun = asyncio.Event()
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._output = output
        self._parent_end = parent_end
        self._family = family
        self._signal: Callable[[signal.Signals], None] | None = None
        self._early: signal.Signals | None = None

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
    ) -> "SupervisedProcess":
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
        assert process.stdout is not None
        started = cls(name, Output(name, process.stdout, output or sys.stderr), parent_end, family)
        started.began(process.pid, lambda number: _signal_group(process.pid, number))
        when_ended(process.pid, lambda: started.ended(_reap(process)))
        return started

    @property
    def exists(self) -> bool:
        """Whether it has begun: one that is forked does so a little after it was asked for."""
        return self._pid is not None

    @property
    def pid(self) -> int:
        """Its number, once it exists."""
        assert self._pid is not None
        return self._pid

    @property
    def last_words(self) -> str:
        """The end of what it printed."""
        return self._output.last_words

    def terminate(self) -> None:
        """Ask it to drain."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, with all that it started."""
        self._send(signal.SIGKILL)

    async def begun(self) -> None:
        """Return once it exists, or will never do so."""
        await self._begun.wait()

    async def wait(self, seconds: float) -> bool:
        """Whether it ended within the time."""
        done, _ = await asyncio.wait([self.exited], timeout=seconds)
        return bool(done)

    def began(self, pid: int, send: Callable[[signal.Signals], None]) -> None:
        """It exists, and `send` signals it for as long as it has not ended; what was asked of it before is sent now."""
        self._pid = pid
        self._signal = send
        self._begun.set()
        if self._early is not None:
            self._send(self._early)

    def ended(self, code: int) -> None:
        """It has ended, and so has its process group."""
        if self.exited.done():
            return
        os.close(self._parent_end)
        self._output.read_rest()
        self.exited.set_result(code)
        self._begun.set()
        # And what has left its group. Whoever waits for the exit need not wait for this.
        asyncio.get_running_loop().run_in_executor(None, end_family, self._family)

    def _send(self, number: signal.Signals) -> None:
        if self._signal is None:
            self._early = number
        elif not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                self._signal(number)


def when_ended(pid: int, call: Callable[[], None]) -> None:
    """Call this, in the loop, once our child has ended; it has not been reaped then."""
    loop = asyncio.get_running_loop()
    if not hasattr(os, "pidfd_open"):  # not Linux: a thread that waits is nearly as quick
        waiting = loop.run_in_executor(None, os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        waiting.add_done_callback(lambda _: call())
        return
    when_readable_once(os.pidfd_open(pid), call)


def when_readable_once(descriptor: int, call: Callable[[], None]) -> None:
    """Close the descriptor, and call this, in the loop, when there is something to read."""
    loop = asyncio.get_running_loop()

    def on_ready() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        call()

    loop.add_reader(descriptor, on_ready)


def _signal_group(pid: int, number: signal.Signals) -> None:
    if number is signal.SIGKILL:
        os.killpg(pid, number)
    else:
        os.kill(pid, number)


def _reap(process: "subprocess.Popen[bytes]") -> int:
    # Before the wait, while the number cannot belong to anybody else: what it started ends too.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def free_port(host: str) -> int:
    """A port that nobody listens on just now. Should somebody take it first, the runner fails and is replaced."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
