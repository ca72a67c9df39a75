"""What a run's code printed and logged: read page by page, followed while the run goes on, and shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from rich.text import Text

from relayrun_cli.api import Api
from relayrun_cli.errors import NoApiError
from relayrun_cli.events import RECONNECT_SECONDS
from relayrun_cli.output import compact, plain, stdout
from relayrun_cli.runs import UNFINISHED, RunRef, get_run

_PAUSE_SECONDS = 0.5
# A runner stores lines some time after they are printed.
_LAST_LINES_SECONDS = 1.0
_STYLES = {"warning": "yellow", "error": "red", "critical": "red"}


@dataclass(frozen=True)
class Wanted:
    """Which lines: behind one with this id, of this attempt, no older than so many seconds."""

    after: str | None = None
    attempt: int | None = None
    since_seconds: float | None = None

    def query(self, after: str | None) -> str:
        """For those of them that are behind `after`."""
        said = {"after": after, "attempt": self.attempt, "since_seconds": self.since_seconds}
        return urlencode({name: value for name, value in said.items() if value is not None})


def printed(api: Api, run: RunRef, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The lines that there are."""
    after = wanted.after
    while True:
        page = api.call("GET", f"{run.path}/logs?{wanted.query(after)}")
        yield from page["lines"]
        if (after := page["next"]) is None:
            return


def follow_printed(
    api: Api, run: RunRef, wanted: Wanted, *, on_lost: Callable[[NoApiError], None]
) -> Iterator[dict[str, Any]]:
    """The lines as they come, until the run has ended. Raises NoApiError when the API has been away for too long."""
    after, lost_at, ended_at = wanted.after, None, None
    while True:
        try:
            ended = ended_at is not None and time.monotonic() - ended_at >= _LAST_LINES_SECONDS
            for line in printed(api, run, Wanted(after, wanted.attempt, wanted.since_seconds)):
                after = line["id"]
                yield line
            if ended:
                return
            if ended_at is None and get_run(api, run)["status"] not in UNFINISHED:
                ended_at = time.monotonic()
            lost_at = None
        except NoApiError as error:
            if lost_at is None:
                lost_at = time.monotonic()
                on_lost(error)
            elif time.monotonic() - lost_at > RECONNECT_SECONDS:
                raise
        time.sleep(_PAUSE_SECONDS)


def show_printed(lines: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    """Print lines as they come."""
    console = stdout()
    attempt = None
    for line in lines:
        if as_json:
            print(compact(line), flush=True)
            continue
        if attempt is not None and line["attempt"] != attempt:
            console.print(f"attempt {line['attempt']}", style="yellow")
        attempt = line["attempt"]
        console.print(_shown(line))


def _shown(line: dict[str, Any]) -> Text:
    at = datetime.fromisoformat(line["time"]).astimezone()
    said = " ".join(filter(None, [f"{at:%H:%M:%S}", line["node"], line["level"] and line["level"].upper()]))
    about = f"{said} {line['logger']}: " if line["logger"] else f"{said}  "
    style = "yellow" if line["source"] == "relayrun" else _STYLES.get(line["level"] or "", "")
    return Text.assemble((plain(about), "dim"), (plain(line["text"]), style))
