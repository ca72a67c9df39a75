"""Starts `relayrun dev` quickly: the process that forks all others begins its imports before this one does."""

from __future__ import annotations

import gc
import sys
from contextlib import AsyncExitStack

from relayrun_cli.dev.options import DevOptions
from relayrun_core.process.imports import quick_imports
from relayrun_core.process.secrets import take_secrets
from relayrun_operator.local.starter import make_starters

#: Of the database: the environment's own name for it, and ours, which wins.
GIVEN_DATABASE, DATABASE = "DATABASE_URL", "RELAYRUN_DATABASE_URL"
_MIGRATIONS = "relayrun_cli.dev.migrations"


async def start_dev(options: DevOptions) -> None:
    """Run until a signal. Raises `CliError` for whatever the person can put right."""
    # No process of this user finds in our environment what opens the installation; author code runs as this user.
    secrets = take_secrets()
    if not secrets.get(DATABASE):
        secrets[DATABASE] = take_secrets(GIVEN_DATABASE).get(GIVEN_DATABASE, "")
    starters = make_starters(runner_command(options), options.preload, _MIGRATIONS)
    async with AsyncExitStack() as stack:
        for starter in reversed(starters):  # the API's server ends before the one that it was split off, which reaps it
            stack.push_async_callback(starter.close)
        for starter in starters:
            starter.open()
        with quick_imports():
            from relayrun_cli.dev.session import run_dev
        gc.enable()
        await run_dev(options, secrets, starters)


def runner_command(options: DevOptions) -> tuple[str, ...] | None:
    """A runner under debugpy, if there is a port for it."""
    if options.debug_port is None:
        return None
    # Without frozen modules a debugger may miss breakpoints, and says so at length.
    debugger = (sys.executable, "-P", "-Xfrozen_modules=off", "-m", "relayrun_cli.dev.debugging")
    return (*debugger, str(options.debug_port), *(("--wait-for-client",) if options.wait_for_client else ()))
