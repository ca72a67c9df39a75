"""Imports all modules of a ready runner except the agent's code, for the process that forks runners, and does what need
not be done after the fork.
"""

import anyio._backends._asyncio  # noqa: F401
import langchain_core.language_models.chat_models
import langchain_core.runnables.graph_mermaid  # noqa: F401
import uvicorn.lifespan.off
import uvicorn.protocols.http.auto
import uvicorn.protocols.websockets.auto  # noqa: F401
import yaml  # noqa: F401

import relayrun_runner.__main__
import relayrun_runner.process.runner  # noqa: F401
from relayrun_runner.loopback import prepare

prepare()
