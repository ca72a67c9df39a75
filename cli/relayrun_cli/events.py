"""Follows a run's journal over HTTP, and reconnects where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from relayrun_cli.api import Api
from relayrun_cli.errors import NoApiError
from relayrun_cli.runs import UNFINISHED, RunRef, get_run, status_of

#: Told by the API in no stream: a run's ends, and the run says how it was.
END = "end"
FROM_THE_START = "-"
# The API says something every 5 s: so long a silence is a dead connection.
_SILENCE_SECONDS = 20.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
#: Longer than a restart of the API takes.
RECONNECT_SECONDS = 60.0


@dataclass(frozen=True)
class Event:
    """One event; `name` is that of the stream mode, behind a `|` the subgraph that it comes from."""

    id: str
    name: str
    data: Any

    def line(self) -> dict[str, Any]:
        """For machines."""
        return {"id": self.id, "event": self.name, "data": self.data}


def follow(
    api: Api,
    run: RunRef,
    *,
    modes: Sequence[str] = (),
    after: str = FROM_THE_START,
    on_lost: Callable[[NoApiError], None] = lambda _: None,
) -> Iterator[Event]:
    """Yield the run's events behind the one with the id `after`, whatever happens to the connection, and at last how it
    ended.

    Raises NoApiError when the API has been away for too long.
    """
    lost_at: float | None = None
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            for event in _connect(api, run, modes, after, _SILENCE_SECONDS):
                lost_at, pause = None, _FIRST_PAUSE_SECONDS
                after = event.id or after
                yield event
            if ending := _ending(api, run):
                yield ending
                return
        except NoApiError as error:
            if lost_at is None:
                lost_at = time.monotonic()
                on_lost(error)
            elif time.monotonic() - lost_at > RECONNECT_SECONDS:
                raise
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def replay(api: Api, run: RunRef, *, after: str, quiet_seconds: float) -> Iterator[Event]:
    """Yield what the run's journal has behind `after`, and at last how it ended; or until nothing came for so long."""
    try:
        yield from _connect(api, run, (), after, quiet_seconds)
        if ending := _ending(api, run):
            yield ending
    except NoApiError as error:
        if not _fell_silent(error):
            raise


def _ending(api: Api, run: RunRef) -> Event | None:
    """How the run ended, as an event of ours; None when it goes on, and something on the way has ended its stream."""
    now = get_run(api, run)
    return None if now["status"] in UNFINISHED else Event("", END, {"status": status_of(now)})


def _connect(api: Api, run: RunRef, modes: Sequence[str], after: str, silence_seconds: float) -> Iterator[Event]:
    query = "&".join(f"stream_mode={mode}" for mode in modes)
    path = f"{run.path}/stream" + (f"?{query}" if query else "")
    with api.stream(path, {"Last-Event-ID": after}, silence_seconds=silence_seconds) as answer:
        yield from parse(answer.iter_bytes())


def parse(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream; one that was cut off in the middle is none."""
    fields: dict[str, str] = {}
    for line in _lines(chunks):
        name, _, value = line.partition(":")
        if line == "":
            if "data" in fields:
                yield Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}
        elif name:
            fields[name] = value.removeprefix(" ")


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    # Not httpx's iter_lines: that one also breaks lines at U+2028, which JSON has within its strings.
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _fell_silent(error: NoApiError) -> bool:
    import httpx

    return isinstance(error.__cause__, httpx.ReadTimeout)
