"""Guards against forks by author code: a child must not use this process's connections or go on with its work.

Only `os.fork` is meant, and what is made of it, as multiprocessing's processes: a program that is started inherits none
of our descriptors.
"""

import asyncio
import os
import select
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from relayrun_core.database import Database

_exit = os._exit


class Forks:
    """What a child gives up at once: our connections, and the event loops that it would go on with."""

    def __init__(self, port: int, loops: Iterable[asyncio.AbstractEventLoop]) -> None:
        self._port = port
        self._loops = list(loops)
        self._databases: list[Database] = []

    def add(self, database: Database) -> None:
        """Its connections are ours alone."""
        self._databases.append(database)

    def guard(self) -> None:
        """From now on, in every child."""
        os.register_at_fork(after_in_child=self._give_up)

    def _give_up(self) -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._ours():
            # Not closed: a file of the author's would get the number, and we would write into it.
            os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)
        for loop in self._loops:
            # When author code comes back to the loop, there is nothing that the child has to do; nor must the loop
            # read, in the turn that is left, what came for other runs.
            loop.call_soon(_exit, 0)
            if hasattr(select, "epoll") and hasattr(loop, "_get_backend_id"):
                with select.epoll() as empty:
                    os.dup2(empty.fileno(), loop._get_backend_id(), inheritable=False)

    def _ours(self) -> Iterator[int]:
        """Connections to our database, to and from our port."""
        peers = {_ends(descriptor)[1] for database in self._databases for descriptor in database.descriptors()}
        for name in os.listdir("/dev/fd"):  # noqa: PTH208 - numbers, not files
            local, peer = _ends(int(name))
            if (peer is not None and peer in peers) or (isinstance(local, tuple) and local[1:2] == (self._port,)):
                yield int(name)


def _ends(descriptor: int) -> tuple[Any, Any]:
    """A socket's addresses, its own and its peer's; None for what it has not, as for anything else."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=os.dup(descriptor)) as found:
                return found.getsockname(), _peer(found)
    return None, None


def _peer(found: socket.socket) -> Any:
    with suppress(OSError):  # it listens
        return found.getpeername() or None  # a pair of sockets has names without text
    return None
