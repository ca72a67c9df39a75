"""One owner of a data folder at a time: a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from relayrun_cli.errors import AlreadyRunningError, CliError

LOCK_FILE = "lock"


class FolderLock:
    """A context manager that holds `<folder>/lock`.

    Entering raises `AlreadyRunningError`, naming the holder, where another process has it.
    The file is never deleted: two processes could otherwise lock two files of one name.
    `after_a_crash` tells whether the last holder died with it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._descriptor: int | None = None
        self.after_a_crash = False

    def __enter__(self) -> Self:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CliError(
                f"Cannot open {self._path}: {error.strerror}. Run as the user who created it, or use another --data."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyRunningError(
                f"relayrun dev already runs on {self._path.parent}: process {holder or 'unknown'}. "
                "Stop that one first, or give this one another folder with --data."
            ) from None
        self.after_a_crash = os.fstat(descriptor).st_size > 0
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
