"""Chooses the API's port."""

from __future__ import annotations

import errno
import socket
import time

from relayrun_cli.errors import CliError

PORTS_TO_TRY = 100
POLL_SECONDS = 0.05


def choose_port(host: str, asked: int | None, default: int, *, wait_seconds: float = 0.0) -> int:
    """The asked port, or the first free one from the default on.

    Wait up to `wait_seconds` for a port that a dying predecessor still has.
    Raises `CliError` where the asked port is taken, or where we may not listen on that host.
    """
    _wait_for_free(host, default if asked is None else asked, wait_seconds)
    if asked is not None:
        if not is_free(host, asked):
            raise CliError(f"Port {asked} on {host} is taken: stop what listens there, or choose another --port.")
        return asked
    for port in range(default, default + PORTS_TO_TRY):
        if is_free(host, port):
            return port
    raise CliError(f"Ports {default} to {port} on {host} are all taken: choose one with --port.")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. Raises `CliError` for a host that is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections that ended a moment ago do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise CliError(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from error
    return True


def _wait_for_free(host: str, port: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_free(host, port) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def reachable_host(host: str) -> str:
    """The host to call a server by that listens on `host`, as it is written in a URL."""
    if host in ("0.0.0.0", ""):
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
