"""Passes on what a process prints, line by line, with its name in front."""

import asyncio
import contextlib
import os
from collections import deque
from typing import IO, TextIO

_TAIL_LINES = 30
_CHUNK_BYTES = 65536
#: A line without an end is passed on in parts: whoever decides about runs must not search megabytes again and again.
_LINE_BYTES = 1_000_000


class Output:
    """Reads a pipe to its end, in the running loop."""

    def __init__(self, name: str, pipe: IO[bytes], to: TextIO) -> None:
        """Without a name the lines are passed on as they are."""
        self._prefix = f"[{name}] " if name else ""
        self._pipe = pipe
        self._to = to
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._unfinished_line = b""
        os.set_blocking(pipe.fileno(), False)
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._read_soon)

    @property
    def last_words(self) -> str:
        """The last lines."""
        return "\n".join(self._tail).strip()

    def note(self, words: str) -> None:
        """What somebody else has said about its end is among its last words."""
        self._tail.extend(words.splitlines())

    def read_rest(self) -> None:
        """Pass on what is there; who has ended says no more."""
        with contextlib.suppress(BlockingIOError):
            while not self._pipe.closed:
                self._read()

    def _read_soon(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._read()

    def _read(self) -> None:
        chunk = os.read(self._pipe.fileno(), _CHUNK_BYTES)
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._pipe.close()
        *lines, self._unfinished_line = (self._unfinished_line + chunk).split(b"\n")
        if self._unfinished_line and (not chunk or len(self._unfinished_line) > _LINE_BYTES):
            lines.append(self._unfinished_line)
            self._unfinished_line = b""
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            self._tail.append(text)
            self._to.write(f"{self._prefix}{text}\n")
        if lines:
            self._to.flush()
