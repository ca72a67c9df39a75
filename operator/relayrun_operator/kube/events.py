"""Kubernetes Events: what a person reads under `kubectl describe`. Best effort, and few enough for any cluster."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Literal

from relayrun_core.kinds import API_VERSION
from relayrun_core.printable import one_line
from relayrun_operator.kube import names
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.conditions import timestamp
from relayrun_operator.kube.errors import KubeError

logger = logging.getLogger("relayrun.kube")

#: The order of magnitude that client-go's own filter lets through.
_PER_SECOND = 5.0
_BURST = 50.0
_WAITING = 200
_LONGEST_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class About:
    """The object that an Event is about."""

    kind: Literal["Agent", "AgentRun"]
    namespace: str
    name: str
    uid: str


class EventPoster:
    """Posts Events one after the other; beyond a rate, those that tell of nothing unusual are dropped."""

    def __init__(self, client: KubeClient, reporter: str) -> None:
        self._client = client
        self._reporter = reporter
        self._queue: asyncio.Queue[dict[str, object]] = asyncio.Queue(_WAITING)
        self._allowed = _BURST
        self._allowed_at = time.monotonic()

    def post(self, about: About, reason: str, message: str, *, unusual: bool = False) -> None:
        """Tell of something. `unusual`: a Warning, which is dropped last."""
        now = time.monotonic()
        self._allowed = min(_BURST, self._allowed + (now - self._allowed_at) * _PER_SECOND)
        self._allowed_at = now
        if self._queue.full() or self._allowed < (1 if unusual else _BURST / 5):
            return
        self._allowed -= 1
        self._queue.put_nowait(self._event(about, reason, message, "Warning" if unusual else "Normal"))

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            event = await self._queue.get()
            namespace = str(event["metadata"]["namespace"])  # type: ignore[index]
            try:
                await self._client.create(names.core_path(namespace, "events"), event)
            except KubeError as error:
                logger.debug("an Event was not posted: %s", error)

    def _event(self, about: About, reason: str, message: str, kind: str) -> dict[str, object]:
        now = timestamp(time.time())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{about.name[:50].rstrip('-.')}.", "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
            "reason": reason,
            "message": one_line(message)[:_LONGEST_MESSAGE],
            "type": kind,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": names.MANAGER},
            "reportingComponent": names.MANAGER,
            "reportingInstance": self._reporter,
        }
