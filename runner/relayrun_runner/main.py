"""Starts a runner: settings in, secrets out of what author code may read, then the process."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

from pydantic import ValidationError

from relayrun_core.logs import configure_logging
from relayrun_core.process.imports import quick_imports
from relayrun_core.process.parent import VARIABLE as PARENT_VARIABLE
from relayrun_core.process.parent import exit_with_parent, take_ready
from relayrun_core.process.secrets import settings_of, take_secrets
from relayrun_core.runner_settings import RunnerSettings

# What is left in other threads after a drain (a client's pool, an exporter) may take this long to end.
_LINGER_SECONDS = 5.0


def main() -> None:
    """Run a runner until it has drained. Exit codes: 0 drained, 2 wrong settings, others in `exits`."""
    settings = read_settings(take_secrets())
    tell_ready = take_ready()
    supervised = PARENT_VARIABLE in os.environ
    exit_with_parent()
    configure_logging(settings.log_level, settings.log_format)
    if supervised:
        # Ctrl-C in a terminal reaches the whole group; the parent decides when this process stops.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with quick_imports():
        from relayrun_runner.logs.streams import capture
        from relayrun_runner.process.runner import RunnerProcess

    capture(settings.log_format)

    try:
        process = RunnerProcess(settings, tell_ready)
    except OSError as error:
        print(f"relayrun runner: {settings.host}:{settings.port} cannot be listened on: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    process.run()
    _end_even_if_threads_linger()
    process.close()


def read_settings(secrets: Mapping[str, str]) -> RunnerSettings:
    """The settings, with these secrets. Exits with 2 when they are wrong.

    Author code, and what it starts, must not find the secrets: they open every agent's threads.
    """
    try:
        settings = RunnerSettings.model_validate(settings_of(secrets))
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = "RELAYRUN_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"relayrun runner: {name}: {problem['msg']}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    if not settings.tokens.all():
        print("relayrun runner: RELAYRUN_TOKEN is empty: anybody could start runs", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    return settings


def _end_even_if_threads_linger() -> None:
    def end() -> None:
        logging.shutdown()
        os._exit(0)

    timer = threading.Timer(_LINGER_SECONDS, end)
    timer.daemon = True
    timer.start()
