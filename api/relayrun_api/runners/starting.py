"""Waits for the first ready runner after the start of `relayrun dev`.

In a cluster there is no such moment: agents come and go beside each other, and the graphs of one must not wait for
another's.
"""

import asyncio
import time
from collections.abc import Callable

from relayrun_api.http.errors import RunnersAway
from relayrun_api.http.shares import CALLED_BY_AGENT
from relayrun_api.runners.client import Pools

WAIT_SECONDS = 30.0

_POLL_SECONDS = 0.05


class Starting:
    """Whether the graphs of the first runner are registered. Once they are, this process never asks again."""

    def __init__(self, pools: Callable[[], Pools]) -> None:
        self._pools = pools
        self._over = False

    def why(self) -> str | None:
        """What stands in the way, a sentence; None: nothing."""
        pools = None if self._over else self._pools()
        if pools is None or not pools.starting:
            self._over = True
            return None
        if pools.problems:
            return f"No graph can be used: {'; '.join(pools.problems)}"
        return "The graphs are being loaded: try again in a moment."

    async def wait(self) -> bool:
        """Return once it is over; whether it was not yet.

        The startup of an agent's web app does not wait: its runner is not ready before that.
        Raises RunnersAway after half a minute, or when the graphs do not load.
        """
        if CALLED_BY_AGENT.get():
            return not self._over
        until = time.monotonic() + WAIT_SECONDS
        waited = False
        while (why := self.why()) is not None:
            if self._pools().problems or time.monotonic() >= until:
                raise RunnersAway(why)
            waited = True
            await asyncio.sleep(_POLL_SECONDS)  # a file tells nobody
        return waited
