"""The console script, and `python -m relayrun_cli`."""

from __future__ import annotations

import sys


def app() -> None:
    """Run the command line. Where it fails because a library does not fit, a sentence says so."""
    try:
        from relayrun_cli.main import app as command_line

        command_line()
    except Exception:
        from relayrun_core.requirements import sentence, unmet

        if problems := unmet("relayrun"):
            sys.exit(f"Error: {sentence(problems)}")
        raise


if __name__ == "__main__":
    app()
