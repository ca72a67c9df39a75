"""What an API that serves has loaded: imported by a process that forks it."""

import anyio._backends._asyncio  # noqa: F401
import httpcore  # noqa: F401
import uvicorn.lifespan.on
import uvicorn.loops.auto  # noqa: F401
import uvloop  # noqa: F401

import relayrun_api.__main__  # noqa: F401
