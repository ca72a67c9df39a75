"""`python -P -m relayrun_core.forkserver DESCRIPTOR`: serves the supervisor at the other end of this socket."""

import socket
import sys

from relayrun_core.forkserver.preloading import PreloadFailed
from relayrun_core.forkserver.server import ForkServer
from relayrun_core.logs import configure_logging


def main() -> None:
    """Serve until the last child has ended. Exit codes: 0, and 2 when something could not be imported."""
    configure_logging()
    try:
        child = ForkServer(socket.socket(fileno=int(sys.argv[1]))).run()
    except PreloadFailed as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    if child is not None:
        child()


if __name__ == "__main__":
    main()
