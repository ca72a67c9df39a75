"""Brings LangGraph's tables to the installed version, in a process of its own: `dev` itself never loads LangGraph.

Run as `python -m relayrun_cli.dev.migrations`, with RELAYRUN_CONFIG_PATH set and the database's URL on its stdin.
"""

from __future__ import annotations

import asyncio
import os
import sys

from relayrun_cli.errors import CliError
from relayrun_core.imports import quick_imports


async def migrate_langgraph(url: str, config: str) -> None:
    """Apply LangGraph's migrations, with the store that a langgraph.json asks for. Raises `CliError`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m"),
        __spec__.name,
        env={**os.environ, "RELAYRUN_CONFIG_PATH": config},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = await process.communicate(url.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise CliError(f"LangGraph's tables could not be brought to this version:\n{said.decode().strip()}")


async def _migrate_here() -> None:
    with quick_imports():
        from relayrun_runner.config.load import load_config
        from relayrun_runner.langgraph_tables import setup

    store = load_config(os.environ["RELAYRUN_CONFIG_PATH"]).store
    await setup(sys.stdin.read(), store)


if __name__ == "__main__":
    asyncio.run(_migrate_here())
