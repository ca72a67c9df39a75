"""Logging: one sentence a line, followed by its fields, or both as JSON."""

import asyncio
import logging
import sys
from typing import Any

from relayrun_core import storable
from relayrun_core.printable import bounded, json_text, lines, one_line

_LINES = "lines"
_INDENT = "    "
# Of each text of a record: an author's exception may say megabytes, and their writing holds up all runs.
_MOST_CHARACTERS = 20_000
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def configure_logging(level: str = "info", form: str = "text") -> None:
    """Send the log to stderr. `form` is `text` or `json`. Fields that are given as `extra=` appear in both."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # One line a request is noise here: the API logs its own.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "watchfiles.main"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # What is still open when a process stops is cut off, which is no error of anybody's.
    logging.getLogger("uvicorn.error").addFilter(_is_no_cut)


def _is_no_cut(record: logging.LogRecord) -> bool:
    cut = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut and "timeout graceful shutdown exceeded" not in str(record.msg)


class _Formatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        try:
            return super().formatException(ei)
        except BaseException:  # noqa: BLE001 - an exception of the author's, whose own class raises when it is asked
            return "an exception that cannot be put into words"


class TextFormatter(_Formatter):
    """`12:00:00 INFO relayrun.runner: run started run=… attempt=1`, on one line whatever the message has.

    Tracebacks, and text of several lines given as `extra={"lines": …}`, stand below it, indented.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        record.message = bounded(record.getMessage(), _MOST_CHARACTERS)
        record.asctime = self.formatTime(record, self.datefmt)
        fields = _fields(record)
        below = [str(fields.pop(_LINES))] if _LINES in fields else []
        if record.exc_info:
            below.append(bounded(self.formatException(record.exc_info), _MOST_CHARACTERS))
        if record.stack_info:
            below.append(self.formatStack(record.stack_info))
        line = " ".join([self.formatMessage(record), *(f"{name}={value}" for name, value in fields.items())])
        return "\n".join([one_line(line), *(lines(text.rstrip(), _INDENT) for text in below)])


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole record as JSON."""
        entry: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": bounded(record.getMessage(), _MOST_CHARACTERS),
            **_fields(record),
        }
        if record.exc_info:
            entry["traceback"] = bounded(self.formatException(record.exc_info), _MOST_CHARACTERS)
        return json_text(storable.dumps(entry).decode())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
