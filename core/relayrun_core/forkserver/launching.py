"""Starts the process of a fork server; `begin` does so ahead of whoever will need one."""

import os
import socket
import subprocess
import sys
from collections.abc import Collection
from typing import NamedTuple

from relayrun_core.forkserver.orders import Load, send
from relayrun_core.process.secrets import without_secrets

#: What both an API and a runner import, for a server that is split into theirs.
SHARED = (
    "anyio._backends._asyncio",
    "httpx",
    "relayrun_core.database",
    "relayrun_core.db.agents",
    "relayrun_core.db.journal",
    "relayrun_core.db.run_logs",
    "relayrun_core.db.thread_stream",
    "relayrun_core.logs",
    "relayrun_core.runner_requests",
    "relayrun_core.settings",
    "starlette.applications",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)

# -P: a file of the author called types.py must not replace a module of ours.
_COMMAND = (sys.executable, "-P", "-m", "relayrun_core.forkserver")


class Launched(NamedTuple):
    """A server's process, whose output is piped, and our end of its socket."""

    process: "subprocess.Popen[bytes]"
    control: socket.socket


_begun: list[Launched] = []


def begin(*hidden: str) -> None:
    """Launch one that imports `SHARED` from now on. `hidden`: variables that its environment must not have, in
    capitals, beside our secrets.

    It ends with this process if nobody asks for it.
    """
    _begun.append(_launch(hidden))
    send(_begun[-1].control, Load(SHARED, ()))


def launch() -> Launched:
    """The one that was begun, else another. Raises OSError."""
    return _begun.pop() if _begun else _launch()


def _launch(hidden: Collection[str] = ()) -> Launched:
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if name.upper() not in hidden}
    with theirs:
        process = subprocess.Popen(
            [*_COMMAND, str(theirs.fileno())],
            env={**without_secrets(environment), "PYTHONUNBUFFERED": "1"},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            process_group=0,
        )
    return Launched(process, control)
