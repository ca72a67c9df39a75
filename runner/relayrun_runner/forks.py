"""A forked child of author code has a copy of this process: it must neither speak for it nor go on with its work.

Only `os.fork` is meant, and what is made of it, as multiprocessing's processes: a program that is started inherits none
of our descriptors.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

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
            # When author code comes back to the loop, there is nothing that the child has to do.
            loop.call_soon(_exit, 0)

    def _ours(self) -> Iterator[int]:
        for database in self._databases:
            yield from database.descriptors()
        for name in os.listdir("/dev/fd"):  # noqa: PTH208 - numbers, not files
            if self._is_of_protocol(int(name)):
                yield int(name)

    def _is_of_protocol(self, descriptor: int) -> bool:
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as found:
                    return found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockname()[1] == self._port
        return False
