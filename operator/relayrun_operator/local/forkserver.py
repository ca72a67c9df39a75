"""The client of the fork server: starts processes as forks of one that has imported their modules."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from relayrun_core.forkserver.orders import Ended, Fork, Forked, Load, Order, Outdated, Retire, receive, send
from relayrun_core.process.parent import FAMILY_VARIABLE
from relayrun_core.process.secrets import hand_over, without_secrets
from relayrun_operator.local.output import Output
from relayrun_operator.local.processes import SupervisedProcess, when_ended, when_readable_once

#: How a process ended whose parent, which would know, was gone before.
UNKNOWN_END = -signal.SIGKILL

_END_SECONDS = 5.0
# -P: a file of the author called types.py must not replace a module of ours.
_COMMAND = (sys.executable, "-P", "-m", "relayrun_core.forkserver")


class ForkServer:
    """The process that forks others: started at `open`, again when it has died, and anew when what it has imported
    has changed. What it has forked outlives it.
    """

    def __init__(self, modules: Sequence[str], further: Sequence[str] = (), output: TextIO | None = None) -> None:
        """`modules` are imported before each fork, and so are `further`, the user's."""
        self._load = Load(tuple(modules), tuple(further))
        self._output = output
        self._current: _Server | None = None
        self._closed = False

    def open(self) -> None:
        """Start importing."""
        self._server()

    def start(
        self,
        package: str,
        name: str,
        environment: Mapping[str, str],
        *,
        secrets: Mapping[str, str] | None = None,
        folder: Path | None = None,
        output: TextIO | None = None,
    ) -> SupervisedProcess:
        """Fork a process that becomes `package`, as soon as the modules are imported. It has no number before."""
        order = Order(package, dict(environment), None if folder is None else str(folder))
        request = _Request(name, order, secrets or {}, output or self._output or sys.stderr)
        self._server().fork(request)
        return request.process

    async def close(self) -> None:
        """End it, and whatever it has forked."""
        self._closed = True
        if self._current is not None:
            await self._current.close()

    def _server(self) -> "_Server":
        if self._current is None or not self._current.serves:
            self._current = _Server(self._load, self._output or sys.stderr, self._on_outdated, self._on_end)
        return self._current

    def _on_outdated(self, server: "_Server", request: "_Request") -> None:
        if server.serves:
            server.retire()
        self._server().fork(request)

    def _on_end(self, server: "_Server") -> None:
        # One that could not import what it should is started again when it is asked for something.
        if not self._closed and server is self._current and server.has_forked:
            self._server()


class _Request:
    """A process that is to be forked, and the child's ends of its pipes until it is."""

    def __init__(self, name: str, order: Order, secrets: Mapping[str, str], to: TextIO) -> None:
        family = str(uuid4())
        order.environment[FAMILY_VARIABLE] = family
        lifeline, ours = os.pipe()
        read, output = os.pipe()
        self.descriptors = [order.written(), output, lifeline, hand_over(secrets)]
        self.output = Output(name, os.fdopen(read, "rb", buffering=0), to)
        self.process = SupervisedProcess(name, self.output, ours, family)

    def answered(self) -> None:
        """The server has its ends, or nobody will."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class _Server:
    """One server process, from its start to its end."""

    def __init__(
        self,
        load: Load,
        output: TextIO,
        on_outdated: "Callable[[_Server, _Request], None]",
        on_end: "Callable[[_Server], None]",
    ) -> None:
        #: Whether it may be asked for forks.
        self.serves = True
        self.has_forked = False
        self._on_outdated = on_outdated
        self._on_end = on_end
        self._asked: dict[int, _Request] = {}
        # By order, each with its pidfd.
        self._running: dict[int, tuple[SupervisedProcess, int]] = {}
        self._number = 0
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*_COMMAND, str(theirs.fileno())],
                env={**without_secrets(os.environ), "PYTHONUNBUFFERED": "1"},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                process_group=0,
            )
        assert self._process.stdout is not None
        self._output = Output("forkserver", self._process.stdout, output)
        self._control.setblocking(False)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._control, self._hear)
        when_ended(self._process.pid, self._on_exit)
        send(self._control, load)

    def fork(self, request: _Request) -> None:
        """Ask for a process."""
        self._number += 1
        self._asked[self._number] = request
        try:
            send(self._control, Fork(self._number), request.descriptors)
        except OSError:  # it has just died, or is asked for hundreds at once
            self._fail(self._asked.pop(self._number), UNKNOWN_END)

    def retire(self) -> None:
        """Let it end with its last child."""
        self.serves = False
        with contextlib.suppress(OSError):
            send(self._control, Retire())

    async def close(self) -> None:
        """End it. Its children see their lifelines end, and those that do not are killed by it."""
        if not (self._ended.done() or self._number):
            self._process.kill()  # it may still import, and has nobody to end
        elif not self._ended.done():
            self.retire()
            self._control.shutdown(socket.SHUT_WR)
            await asyncio.wait([self._ended], timeout=_END_SECONDS)
        if not self._ended.done():
            self._process.kill()
            await self._ended

    def _hear(self) -> bool:
        """Take one message, if there is one."""
        try:
            message, descriptors = receive(self._control)
        except OSError:
            return False
        match message:
            case Forked(number, pid):
                self._on_forked(number, pid, descriptors[0])
            case Outdated(number):
                self._on_outdated(self, self._asked.pop(number))
            case Ended(number, code):
                process, pidfd = self._running.pop(number)
                os.close(pidfd)
                process.ended(code)
            case _:
                self.serves = False
                asyncio.get_running_loop().remove_reader(self._control)
                return False
        return True

    def _on_forked(self, number: int, pid: int, pidfd: int) -> None:
        self.has_forked = True
        request = self._asked.pop(number)
        request.answered()
        self._running[number] = request.process, pidfd
        request.process.began(pid, partial(signal.pidfd_send_signal, pidfd))

    def _on_exit(self) -> None:
        """What it was asked for will not be; what it has forked goes on, and has nobody who would know how it ends."""
        self.serves = False
        while self._hear():
            pass
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        code = self._process.wait()
        self._output.read_rest()
        for request in self._asked.values():
            self._fail(request, code or UNKNOWN_END)
        for process, pidfd in self._running.values():
            when_readable_once(pidfd, partial(process.ended, UNKNOWN_END))
        self._asked.clear()
        self._running.clear()
        self._ended.set_result(None)
        self._on_end(self)

    def _fail(self, request: _Request, code: int) -> None:
        request.answered()
        request.output.note(self._output.last_words)
        request.process.ended(code)
