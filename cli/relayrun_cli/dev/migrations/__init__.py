"""Brings LangGraph's tables to the installed version, in a process of its own: `dev` itself never loads LangGraph.

The process is forked from the one that has loaded it. It is given RELAYRUN_CONFIG_PATH, and the database's URL as a
secret.
"""

from __future__ import annotations

import asyncio
import os

from relayrun_cli.errors import CliError
from relayrun_core.process.secrets import without_secrets
from relayrun_operator.local.starter import Starter


async def migrate_langgraph(starter: Starter, url: str, config: str) -> None:
    """Apply LangGraph's migrations, with the store that a langgraph.json asks for. Raises `CliError`."""
    environment = {**without_secrets(os.environ), "RELAYRUN_CONFIG_PATH": config}
    process = starter.start("", environment, secrets={"RELAYRUN_DATABASE_URL": url}, folder=None)
    try:
        await asyncio.wait([process.exited])
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.exited.result() != 0:
        raise CliError(f"LangGraph's tables could not be migrated to this version:\n{process.last_words.strip()}")
