"""A log of side effects, which a step leaves as one that charges a card leaves its mark elsewhere."""

import asyncio
import os
from pathlib import Path

_LOG = Path(os.environ.get("EFFECTS_LOG", "effects.log"))
_SECONDS = float(os.environ.get("STEP_SECONDS", "5"))


async def leave(what: str) -> None:
    """Write a line, and take a while."""
    await asyncio.to_thread(_write, what)
    await asyncio.sleep(_SECONDS)


def _write(what: str) -> None:
    with _LOG.open("ab", buffering=0) as log:
        log.write(f"{os.getpid()} {what}\n".encode())
