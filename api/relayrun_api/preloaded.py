"""Imports all modules of a serving API, for the process that forks it."""

import anyio._backends._asyncio  # noqa: F401
import httpcore  # noqa: F401
import uvicorn.lifespan.on
import uvicorn.loops.auto  # noqa: F401
import uvloop  # noqa: F401

import relayrun_api.__main__  # noqa: F401
