"""The command line's exceptions: each message says what happened, to what, and what to do."""

from __future__ import annotations


class CliError(Exception):
    """Shown to the person as one message, without a traceback; the command ends with `exit_code`."""

    exit_code = 1


class UsageError(CliError):
    """The person asked for something that makes no sense."""

    exit_code = 2


class AlreadyRunningError(CliError):
    """Another process holds the data folder."""


class PostgresError(CliError):
    """The embedded Postgres cannot be started or kept running."""
