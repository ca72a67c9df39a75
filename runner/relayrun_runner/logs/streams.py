"""`sys.stdout` and `sys.stderr` as author code has them, and what it logs: each line is its run's.

What does not pass through these, as the output of C extensions and of other programs, goes where it goes by itself.
"""

import logging
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO, cast

from relayrun_core.logs import JsonFormatter, TextFormatter
from relayrun_runner.logs.lines import Lines, shortened
from relayrun_runner.logs.places import Place, current_place, follow_threads, is_forked

_OURS = "relayrun"
_FORMATTER = TextFormatter()


class RunStream:
    """Stands in for `sys.stdout` or `sys.stderr`: what runs print is added to their logs.

    As `text` it is passed on as it is written, as `json` each line as an object.
    """

    def __init__(self, name: str, stream: TextIO, form: str) -> None:
        self._name = name
        self._stream = stream
        self._json = JsonFormatter() if form == "json" else None
        self._lines = Lines()
        self._lock = threading.RLock()
        self.buffer = _Bytes(self) if hasattr(stream, "buffer") else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As a text stream's."""
        if self._json is None or is_forked() or not isinstance(text, str):
            self._stream.write(text)
        if is_forked():
            return len(text)
        place = current_place()
        if place is not None:
            lines = place.log.print(self._name, text, place.node)
        elif self._json is not None:
            with self._lock:
                lines = self._lines.feed(threading.get_ident(), text)
        else:
            return len(text)
        if self._json is not None:
            for line in lines:
                self._stream.write(self._as_json(line, place))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As a text stream's."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """As a text stream's; as JSON a line is passed on when it ends."""
        self._stream.flush()

    def _as_json(self, line: str, place: Place | None) -> str:
        assert self._json is not None
        fields = {"name": self._name, "levelno": logging.INFO, "levelname": "INFO", "msg": line}
        return self._json.format(logging.makeLogRecord({**fields, **(place.fields if place else {})})) + "\n"


class _Bytes:
    """The `buffer` of such a stream, for those who write bytes."""

    def __init__(self, text: RunStream) -> None:
        self._text = text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._text._stream.buffer, name)

    def write(self, data: Any) -> int:
        """As a binary stream's; what is no UTF-8 becomes U+FFFD where it is kept."""
        octets = bytes(data)
        self._text.write(octets.decode(errors="replace"))
        return len(octets)


class RunLogHandler(logging.Handler):
    """Adds what a run's code logs to the run's log. What Relayrun says of a run is not its code's."""

    def emit(self, record: logging.LogRecord) -> None:
        """Logging's."""
        place = current_place()
        if place is None or record.name.partition(".")[0] == _OURS:
            return
        with suppress(Exception):  # the handler beside this one says what is wrong with the record
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{_FORMATTER.formatException(record.exc_info)}"
            place.log.add("log", shortened(text), node=place.node, level=record.levelname.lower(), logger=record.name)


def _add_fields(record: logging.LogRecord) -> bool:
    place = current_place()
    if place is not None:
        for name, value in place.fields.items():
            record.__dict__.setdefault(name, value)
    return True


def capture(form: str) -> None:
    """From now on what author code prints and logs is its run's; call it once, before author code is loaded.

    `form`: that of the process's log, `text` or `json`. As JSON, each line has its run's fields.
    """
    follow_threads()
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.addFilter(_add_fields)
    logging.getLogger().addHandler(RunLogHandler())
    sys.stdout = cast("TextIO", RunStream("stdout", sys.stdout, form))
    sys.stderr = cast("TextIO", RunStream("stderr", sys.stderr, form))
