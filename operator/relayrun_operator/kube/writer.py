"""Writes status: one patch at a time for each object, with its `resourceVersion`, and only what differs.

A run that ends within the patience gets one write, a short one two: what is still moving waits that long.
"""

import asyncio
import logging
from typing import Any, Protocol

from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.metrics import OperatorMetrics

logger = logging.getLogger("relayrun.kube")

#: What changes again sooner needs no word in between.
PATIENCE_SECONDS = 0.25

_AGAIN_SECONDS = 1.0
_AT_ONCE = 16


class Target(Protocol):
    """An object whose status is written. `path` is that of its status subresource."""

    path: str

    def wanted(self) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """Its resourceVersion, the status as the API server has it, and as it should be; None: it is gone."""

    def written(self, body: dict[str, Any]) -> None:
        """What the API server answered: the object with its new status."""


class StatusWriter:
    """Writes the status of whatever was touched."""

    def __init__(
        self, client: KubeClient, lease: Lease, tasks: asyncio.TaskGroup, metrics: OperatorMetrics, kind: str
    ) -> None:
        self._client = client
        self._lease = lease
        self._tasks = tasks
        self._metrics = metrics
        self._kind = kind
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._under_way: set[str] = set()
        self._again: dict[str, Target] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._timers and not self._under_way

    def touch(self, target: Target, *, patience: float = PATIENCE_SECONDS) -> None:
        """The status may have changed. `patience`: for so many seconds it may change again; 0: write it now."""
        key = target.path
        if key in self._under_way:
            self._again[key] = target
            return
        timer = self._timers.get(key)
        if timer is not None:
            if patience:
                return
            timer.cancel()
        self._later(target, patience)

    def _later(self, target: Target, seconds: float) -> None:
        self._timers[target.path] = asyncio.get_running_loop().call_later(seconds, self._start, target)

    def _start(self, target: Target) -> None:
        del self._timers[target.path]
        self._under_way.add(target.path)
        self._tasks.create_task(self._write(target), name=f"status {target.path}")

    async def _write(self, target: Target) -> None:
        failed = False
        async with self._room:
            # Only now: whatever changed while this waited for room goes with it.
            self._again.pop(target.path, None)
            wanted = target.wanted()
            if wanted is not None:
                # A Lease that was late for a moment may be held again: what was not written then is written later.
                failed = not (self._lease.held and await self._patch(target, *wanted))
        self._under_way.discard(target.path)
        again = self._again.pop(target.path, None)
        if again is not None or failed:
            self._later(again or target, _AGAIN_SECONDS if failed else 0.0)

    async def _patch(self, target: Target, version: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
        changes = {key: after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}
        if not changes:
            return True
        try:
            answer = await self._client.patch(
                target.path, {"metadata": {"resourceVersion": version}, "status": changes}
            )
        except KubeError as error:
            self._metrics.status_writes.labels(self._kind, error.reason).inc()
            return await self._not_written(target, error)
        self._metrics.status_writes.labels(self._kind, "OK").inc()
        target.written(answer)
        return True

    async def _not_written(self, target: Target, error: KubeError) -> bool:
        """Whether there is nothing left to do."""
        if error.not_found:
            return True
        if error.conflict:
            try:
                target.written(await self._client.get(target.path.removesuffix("/status")))
            except KubeError as second:
                return second.not_found
            self._again.setdefault(target.path, target)
            return True
        logger.warning("%s cannot be written: %s", target.path, error)
        return error.status == 422
