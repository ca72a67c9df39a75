"""A pipe by which children see that their parent has died."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self


class Lifeline:
    """A pipe whose write end only this process holds: its children see the end of file when it dies."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()

    def close(self) -> None:
        """Let go: every child that still watches exits."""
        os.close(self._write_end)
        os.close(self.read_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
