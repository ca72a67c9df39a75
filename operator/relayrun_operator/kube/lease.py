"""Leader election by a coordination Lease: one replica leads, another takes over when it falls silent.

```
  standby ──the Lease is free, or has not moved for 6 s──▶ leader ──renews every 1.5 s──▶ …
     ▲                                                       │ not renewed for 5 s, or taken
     └───────────── a new process ◀── this one ends ─────────┘
```
As in client-go, only the local clock measures how long another's Lease has not moved: clocks need not agree.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from relayrun_operator.kube import names
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError, NotLeading

logger = logging.getLogger("relayrun.kube")

#: Failover takes this, one look, and the start of the new leader's watches: below 10 s in all.
DURATION_SECONDS = 6.0
#: The leader stops believing in its Lease before anybody else may take it.
_DEADLINE_SECONDS = 5.0
_RENEW_SECONDS = 1.5
_LOOK_SECONDS = 1.0


class Lease:
    """This replica's part in the election."""

    def __init__(self, client: KubeClient, namespace: str, identity: str) -> None:
        self.holder = ""
        self._client = client
        self._namespace = namespace
        self._path = names.lease_path(namespace, names.LEASE)
        self._identity = identity
        self._object: dict[str, Any] = {}
        self._moved_at = float("-inf")
        self._held_until = float("-inf")
        self._released = False
        #: Whether `_object` may not be how it is now: else it need not be read before it is renewed.
        self._doubtful = True

    @property
    def held(self) -> bool:
        """Whether this replica leads, as of now."""
        return time.monotonic() < self._held_until

    def check(self) -> None:
        """Raise NotLeading unless this replica leads: call it before anything that a leader alone may do."""
        if not self.held:
            raise NotLeading

    async def acquire(self) -> None:
        """Return once this replica leads."""
        while True:
            if await self._try():
                break
            await asyncio.sleep(_LOOK_SECONDS)  # between two looks at somebody else's Lease
        logger.info("this replica leads: %s", self._identity)

    async def keep(self, lost: Callable[[], None]) -> None:
        """Renew until cancelled; `lost` is called when that did not succeed in time, or another replica leads.

        After a pause of this process the Lease has run out; if nobody took it meanwhile, it is simply renewed.
        """
        while True:
            await asyncio.sleep(_RENEW_SECONDS)  # the Lease's own rhythm
            if not await self._try():
                lost()
                return

    async def release(self) -> None:
        """Let a standby take over at once."""
        if not self.held:
            return
        self._released = True
        self._held_until = float("-inf")
        try:
            await self._write({**self._object["spec"], "holderIdentity": ""})
        except KubeError as error:
            logger.info("the Lease was not given back: %s", error)

    async def _try(self) -> bool:
        """Look, and take or renew if that is allowed; whether this replica leads now."""
        if self._released:
            return False
        asked_at = time.monotonic()
        try:
            if not self.held or self._doubtful:
                await self._look()
            spec = self._object.get("spec") or {}
            self.holder = spec.get("holderIdentity") or ""
            if self.holder not in ("", self._identity) and asked_at - self._moved_at < DURATION_SECONDS:
                self._held_until = float("-inf")
                return False
            await self._write(self._spec(spec))
        except KubeError as error:
            self._doubtful = True
            if not error.conflict:
                logger.warning("the Lease cannot be renewed: %s", error)
            return self.held
        self.holder, self._doubtful = self._identity, False
        self._held_until = asked_at + _DEADLINE_SECONDS
        return True

    async def _look(self) -> None:
        try:
            seen = await self._client.get(self._path)
        except KubeError as error:
            if not error.not_found:
                raise
            seen = {}
        version = seen.get("metadata", {}).get("resourceVersion")
        if version != self._object.get("metadata", {}).get("resourceVersion") or self._moved_at == float("-inf"):
            self._moved_at = time.monotonic()
        self._object = seen

    async def _write(self, spec: dict[str, Any]) -> None:
        if self._object:
            self._object = await self._client.replace(self._path, {**self._object, "spec": spec})
        else:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": names.LEASE, "namespace": self._namespace},
                "spec": spec,
            }
            self._object = await self._client.create(names.lease_path(self._namespace), body)

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION_SECONDS),
            "acquireTime": before.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (not ours),
        }
