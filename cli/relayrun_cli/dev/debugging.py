"""`python -m relayrun_cli.dev.debugging PORT [--wait-for-client]`: a runner under debugpy.

Not debugpy's own command line: while that one waits for a debugger, it would outlive a killed `dev`.
"""

from __future__ import annotations

import importlib
import os
import sys

from relayrun_core.process.parent import VARIABLE, exit_with_parent


def main() -> None:
    """Listen for a debugger, wait for it if so asked, and then be a runner."""
    port, *flags = sys.argv[1:]
    parent = os.environ.get(VARIABLE)
    exit_with_parent()
    if parent is not None:
        os.environ[VARIABLE] = parent  # it also tells the runner that it is supervised
    debugpy = importlib.import_module("debugpy")
    debugpy.listen(("127.0.0.1", int(port)))
    if "--wait-for-client" in flags:
        debugpy.wait_for_client()
    from relayrun_runner.main import main as run

    run()


if __name__ == "__main__":
    main()
