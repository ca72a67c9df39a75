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

from relayrun_core.forkserver.launching import SHARED, launch
from relayrun_core.forkserver.orders import (
    Began,
    Ended,
    Fork,
    Forked,
    Load,
    Order,
    Outdated,
    Retire,
    Split,
    receive,
    send,
)
from relayrun_core.process.parent import FAMILY_VARIABLE
from relayrun_core.process.secrets import hand_over
from relayrun_operator.local.output import Output
from relayrun_operator.local.processes import SupervisedProcess, when_readable_once

#: How a process ended whose parent, which would know, was gone before.
UNKNOWN_END = -signal.SIGKILL

_END_SECONDS = 5.0


class ForkServer:
    """The process that forks others: started at `open`, again when it has died, and anew when what it has imported
    has changed. What it has forked outlives it.
    """

    def __init__(
        self,
        modules: Sequence[str],
        further: Sequence[str] = (),
        output: TextIO | None = None,
        trunk: "ForkServer | None" = None,
    ) -> None:
        """`modules` are imported before each fork, and so are `further`, the user's.

        `trunk`: its first process splits this one's off, once it has imported what both share. Each imports the rest at
        the same time, and has nothing of the other's.
        """
        self._load = Load(tuple(modules), tuple(further))
        self._output = output
        self._trunk = trunk
        self._branches: list[ForkServer] = []
        self._current: _Server | None = None
        self._closed = False
        if trunk is not None:
            trunk._branches.append(self)

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
        if self._current is None and self._trunk is not None:
            self._trunk.open()
        if self._current is None or not self._current.serves:
            self._current = self._launch()
        return self._current

    def _launch(self) -> "_Server":
        process, control = launch()
        assert process.stdout is not None
        output = Output("forkserver", process.stdout, self._output or sys.stderr)
        branches, self._branches = self._branches, []  # they outlive this process
        if branches:
            send(control, Load(SHARED, ()))
        for branch in branches:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                send(control, Split(), [theirs.fileno()])
            branch._current = branch._served(None, ours, output)
        return self._served(process, control, output)

    def _served(self, process: "subprocess.Popen[bytes] | None", control: socket.socket, output: Output) -> "_Server":
        send(control, self._load)
        return _Server(process, control, output, self._on_outdated, self._on_end)

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
        process: "subprocess.Popen[bytes] | None",
        control: socket.socket,
        output: Output,
        on_outdated: "Callable[[_Server, _Request], None]",
        on_end: "Callable[[_Server], None]",
    ) -> None:
        """`process` is our child; None: another server splits it off."""
        #: Whether it may be asked for forks.
        self.serves = True
        self.has_forked = False
        self._process = process
        self._pidfd: int | None = None
        self._control = control
        self._output = output
        self._on_outdated = on_outdated
        self._on_end = on_end
        self._asked: dict[int, _Request] = {}
        # By order, each with its pidfd.
        self._running: dict[int, tuple[SupervisedProcess, int]] = {}
        self._number = 0
        self._control.setblocking(False)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._control, self._hear)
        if process is not None:
            self._began(os.pidfd_open(process.pid))

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
        if self._pidfd is not None and self._number and not self._ended.done():
            self.retire()
            self._control.shutdown(socket.SHUT_WR)
            await asyncio.wait([self._ended], timeout=_END_SECONDS)
        if self._pidfd is None:
            self._on_exit()  # who has not been split off yet finds nobody at the socket
        elif not self._ended.done():  # it may still import, and has nobody to end
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            await self._ended

    def _began(self, pidfd: int) -> None:
        self._pidfd = pidfd
        when_readable_once(os.dup(pidfd), self._on_exit)

    def _hear(self) -> bool:
        """Take one message, if there is one."""
        try:
            message, descriptors = receive(self._control)
        except OSError:
            return False
        match message:
            case Began():
                self._began(descriptors[0])
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
                if self._pidfd is None:  # who should split it off has ended
                    asyncio.get_running_loop().call_soon(self._on_exit)
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
        if self._ended.done():
            return
        self.serves = False
        while self._hear():
            pass
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        # How one that was split off ended, only its parent knows.
        code = UNKNOWN_END if self._process is None else self._process.wait()
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
