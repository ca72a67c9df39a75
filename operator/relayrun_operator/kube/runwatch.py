"""The watch of AgentRuns: what kopf does for the other kinds, for the one of which there are many.

Each run makes four or five events, and kopf's queues, workers and handlers were most of the operator's work for them.

```
  list ──resourceVersion──▶ watch ⟲ ends, breaks, falls silent: on from its last version
   ▲                          │ that version is too old (410)
   └──────────────────────────┘
```
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from relayrun_operator.kube import names
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.observer import Observer, by_creation

logger = logging.getLogger("relayrun.kube")

_GONE = 410
_BACK_OFF_SECONDS = (0.05, 0.5, 1.0, 2.0, 5.0)
_MOST_FAILURES = 3


async def watch_runs(client: KubeClient, namespace: str, observer: Observer) -> None:
    """Tell the observer of every change of a namespace's AgentRuns, until cancelled."""
    await RunWatch(client, namespace, observer).run()


class RunWatch:
    """The watch of one namespace."""

    def __init__(self, client: KubeClient, namespace: str, observer: Observer) -> None:
        self._client = client
        self._path = names.runs_path(namespace)
        self._observer = observer
        self._version = ""
        self._failures = 0

    async def run(self) -> None:
        """List and watch, again and again."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except KubeError as error:
                # Of a cluster that was restored, versions are older than those that were seen.
                if error.status == _GONE or self._failures >= _MOST_FAILURES:
                    self._version = ""
                if error.status != _GONE:
                    logger.info("%s is watched again: %s", self._path, error)
                    self._failures += 1
            await asyncio.sleep(_BACK_OFF_SECONDS[min(self._failures, len(_BACK_OFF_SECONDS) - 1)])

    async def _list(self) -> None:
        items, version = await self._client.list_with_version(self._path)
        for body in by_creation(items):
            self._tell("MODIFIED", body)
        self._version = version

    async def _watch(self) -> None:
        async with self._client.watch(self._path, self._version) as events:
            async for event in events:
                kind, body = event.get("type"), event.get("object") or {}
                if kind in ("ADDED", "MODIFIED", "DELETED"):
                    self._tell(kind, body)
                elif kind != "BOOKMARK":
                    raise KubeError(int(body.get("code") or 0), str(body.get("reason")), str(body.get("message")))
                self._version, self._failures = body["metadata"]["resourceVersion"], 0

    def _tell(self, kind: str, body: Mapping[str, Any]) -> None:
        try:
            (self._observer.lose_run_of if kind == "DELETED" else self._observer.see_run)(body)
        except Exception:  # one object must not end the watch of all others
            logger.exception("AgentRun %s could not be taken in", body.get("metadata", {}).get("name"))
