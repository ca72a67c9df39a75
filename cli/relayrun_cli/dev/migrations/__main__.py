"""`python -m relayrun_cli.dev.migrations`."""

from __future__ import annotations

import asyncio
import os

from relayrun_core.process.imports import quick_imports
from relayrun_core.process.parent import exit_with_parent
from relayrun_core.process.secrets import take_secrets

with quick_imports():
    from relayrun_runner.config.load import load_config
    from relayrun_runner.langgraph_tables import setup


def main() -> None:
    """Migrate, once."""
    exit_with_parent()
    url = take_secrets()["RELAYRUN_DATABASE_URL"]
    asyncio.run(setup(url, load_config(os.environ["RELAYRUN_CONFIG_PATH"]).store))


if __name__ == "__main__":
    main()
