"""The console script, and `python -m relayrun_cli`."""

from __future__ import annotations

import gc
import sys


def app() -> None:
    """Run the command line. Where it fails because a library does not fit, a sentence says so."""
    if sys.argv[1:2] == ["dev"] and sys.platform == "linux" and "--help" not in sys.argv:
        # What takes longest of a start, beside our own imports and Postgres.
        from relayrun_core.forkserver.launching import begin

        gc.disable()  # until all is imported
        begin("DATABASE_URL")
    try:
        from relayrun_cli.main import app as command_line

        command_line()
    except Exception as error:
        from relayrun_core.requirements import is_installed, sentence, unmet

        if problems := unmet("relayrun"):
            sys.exit(f"Error: {sentence(problems)}")
        if isinstance(error, ModuleNotFoundError) and not is_installed("relayrun"):
            sys.exit(
                f"Error: this image has no {error.name}, which this verb needs. Install it all: pip install relayrun"
            )
        raise


if __name__ == "__main__":
    app()
