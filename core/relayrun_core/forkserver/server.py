"""The fork server of a supervisor: forks what it is asked for, tells of every end, and ends with the last of them.

When its supervisor dies, its children end by themselves, with all that they have started; those that cannot are killed.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from relayrun_core.forkserver.forking import Child, Handlers, become, fork
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
from relayrun_core.forkserver.preloading import Preloaded, preload
from relayrun_core.forkserver.reaping import reap
from relayrun_core.process.parent import FAMILY_VARIABLE, end_family
from relayrun_core.process.parent import VARIABLE as PARENT_VARIABLE
from relayrun_core.process.secrets import VARIABLE as SECRETS_VARIABLE

_kept: list[object] = []

# Orphans, of a supervisor that died, get so long to end themselves.
_ORPHANS_SECONDS = 5.0


class ForkServer:
    """Serves one supervisor. Linux only."""

    def __init__(self, control: socket.socket, loaded: Preloaded | None = None) -> None:
        """`loaded`: what this process has imported already."""
        self._control = control
        self._signalled, wakeup = socket.socketpair()
        for end in (self._signalled, wakeup):
            end.setblocking(False)
        self._wakeup = wakeup
        self._selector = selectors.DefaultSelector()
        self._own = (control, self._signalled, wakeup, self._selector)
        self._loaded = loaded
        self._handlers: Handlers | None = None
        # By process: its order's number, and its family.
        self._children: dict[int, tuple[int, str]] = {}
        self._serving = True
        self._give_up_at: float | None = None

    def run(self) -> Callable[[], Any] | None:
        """Serve to the end. In a child the main function of what it has become is returned, else None.

        Raises PreloadFailed.
        """
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._signalled, selectors.EVENT_READ)
        while self._serving or self._children:
            for key, _ in self._selector.select(self._select_timeout()):
                if key.fileobj is self._control:
                    main = self._obey()
                    if main is not None:
                        return main
                else:
                    self._signalled.recv(4096)
            self._reap()
            self._give_up()
        return None

    def _obey(self) -> Callable[[], Any] | None:
        message, descriptors = receive(self._control)
        match message:
            case Load(modules, further):
                self._load(modules, further)
            case Split():
                return self._split(socket.socket(fileno=descriptors[0]))
            case Fork(number):
                return self._fork(number, descriptors)
            case Retire():
                self._serving = False
            case _:
                self._selector.unregister(self._control)
                self._serving = False
                self._give_up_at = time.monotonic() + _ORPHANS_SECONDS
        return None

    def _load(self, modules: Iterable[str], further: Iterable[str]) -> None:
        if self._handlers is not None:
            self._handlers.give_up()
        self._loaded = preload(modules, further, self._loaded)
        # Behind the imports, so that children have what an imported module has set.
        self._handlers = Handlers({signal.SIGCHLD: _note, signal.SIGINT: signal.SIG_IGN}, self._wakeup.fileno())

    def _split(self, control: socket.socket) -> Callable[[], Any] | None:
        assert self._handlers is not None, "there is nothing to share yet"
        if fork(self._handlers, self._own) != 0:
            control.close()
            return None
        other = ForkServer(control, self._loaded)
        pidfd = os.pidfd_open(os.getpid())
        other._send(Began(os.getpid()), pidfd)
        os.close(pidfd)
        return other.run() or _nothing

    def _fork(self, number: int, descriptors: list[int]) -> Callable[[], Any] | None:
        if self._loaded is None or self._handlers is None or self._loaded.outdated:
            self._send(Outdated(number))
            _close(descriptors)
            return None
        written, output, lifeline, secrets = descriptors
        order = Order.read(written)
        given = {PARENT_VARIABLE: str(lifeline), SECRETS_VARIABLE: str(secrets)}
        pid = fork(self._handlers, self._own)
        if pid == 0:
            # To free what this server has would have this process copy the memory, which it shares until it changes it.
            _kept.append(self)
            return become(Child(order.package, {**order.environment, **given}, order.folder, output))
        _close((output, lifeline, secrets))
        self._children[pid] = number, order.environment.get(FAMILY_VARIABLE, "")
        pidfd = os.pidfd_open(pid)
        self._send(Forked(number, pid), pidfd)
        os.close(pidfd)
        return None

    def _reap(self) -> None:
        for pid, code in reap(self._children):
            if pid in self._children:
                number, _ = self._children.pop(pid)
                self._send(Ended(number, code))

    def _select_timeout(self) -> float | None:
        return None if self._give_up_at is None else max(0.0, self._give_up_at - time.monotonic())

    def _give_up(self) -> None:
        if self._give_up_at is None or time.monotonic() < self._give_up_at:
            return
        self._give_up_at = None
        for pid, (_, family) in self._children.items():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if family:
                end_family(family)

    def _send(self, message: Began | Forked | Outdated | Ended, *descriptors: int) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone
            send(self._control, message, descriptors)


def _note(_number: int, _frame: object) -> None:
    """The wakeup descriptor has what is needed."""


def _nothing() -> None:
    """What is left to do where no child returns from a server."""


def _close(descriptors: list[int] | tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
