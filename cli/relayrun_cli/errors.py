"""The command line's exceptions: each message says what happened, to what, and what to do."""

from __future__ import annotations

from enum import IntEnum

#: Of what the API refuses because there is no such thing.
NOT_FOUND = 404
_INVALID = 422


class ExitCode(IntEnum):
    """How `run` and `retry` end; the other verbs end with 0, with 1 for whatever went wrong, or with 2 or 5."""

    DONE = 0
    GRAPH_ERROR = 1  # of the other verbs: whatever went wrong
    USAGE = 2
    WAITING_FOR_INPUT = 3
    STOPPED = 4
    NO_API = 5
    DETACHED = 130


class CliError(Exception):
    """Shown to the person as one message, without a traceback; the command ends with `exit_code`."""

    exit_code: int = 1


class UsageError(CliError):
    """The person asked for something that makes no sense."""

    exit_code = ExitCode.USAGE


class NoApiError(CliError):
    """Nothing answers at the API's address, or not as an API."""

    exit_code = ExitCode.NO_API


class RefusedError(CliError):
    """The API understood and refused; the message is its own sentence."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status
        self.exit_code = ExitCode.USAGE if status == _INVALID else ExitCode.GRAPH_ERROR


class AlreadyRunningError(CliError):
    """Another process holds the data folder."""


class PostgresError(CliError):
    """The embedded Postgres cannot be started or kept running."""
