"""What the agent `crash` noted while it ran: the log of side effects of a thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Note:
    """One line: `begin` and `end` of a step, a task's writes `tried` and `saved`, a `checkpoint`."""

    what: str
    run: str
    pid: int
    step: str | None = None
    task: str | None = None
    attempt: int | None = None
    number: int | None = None
    inner: bool = False


def read_notes(crash_folder: Path, thread: object) -> list[Note]:
    """All that was noted on a thread, in order."""
    log = crash_folder / f"{thread}.log"
    return [Note(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def nothing_repeated(notes: Sequence[Note]) -> None:
    """No task began again once its writes were saved."""
    saved: set[str | None] = set()
    for note in notes:
        if note.what == "saved":
            saved.add(note.task)
        assert not (note.what == "begin" and note.task in saved), f"{note.step} was repeated"


def steps_begun(notes: Sequence[Note], run: object) -> list[str]:
    """The steps of a run that began, as often as they did, in order."""
    return [note.step or "" for note in notes if note.what == "begin" and note.run == str(run)]
