"""One operator process: stands by until it leads, then runs the world until it loses the lead."""

import asyncio
import logging
import uuid
from collections.abc import Callable

from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import NotLeading
from relayrun_operator.kube.health import serve
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.token import ensure_tokens
from relayrun_operator.kube.world import KubeWorld
from relayrun_operator.settings import OperatorSettings

logger = logging.getLogger("relayrun.kube")

#: Watches are opened anew, and names listed, more often than this: who heard nothing for as long hears nothing at all.
_SILENT_SECONDS = 200.0


class Operator:
    """A replica of the operator."""

    def __init__(self, settings: OperatorSettings, claim_signals: Callable[[], None]) -> None:
        self._settings = settings
        self._claim_signals = claim_signals
        self._metrics = OperatorMetrics()
        self._world: KubeWorld | None = None
        self._lease: Lease | None = None

    async def run(self) -> None:
        """Lead when it is this replica's turn. Returns never; raises when the process should be replaced."""
        settings = self._settings
        async with (
            serve(settings.host, settings.port, self._metrics, self._ailing),
            KubeClient.open(self._metrics.api_server_answered) as client,
        ):
            identity = f"{settings.pod_name}_{uuid.uuid4().hex[:8]}"
            lease = self._lease = Lease(client, settings.namespace, identity)
            await lease.acquire()
            self._metrics.leading.set(1)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(lease.keep(_give_up), name="lease")
                tokens = await ensure_tokens(client, settings.runner_token_secret, settings.namespaces)
                self._world = KubeWorld(tasks, settings, client, lease, self._metrics, tokens, self._claim_signals)
                await self._world.run()

    async def release(self) -> None:
        """Stop leading, so that a standby takes over at once."""
        if self._lease is not None:
            await self._lease.release()

    def _ailing(self) -> str | None:
        silent = self._world.silent_seconds if self._world else 0.0
        return f"the API server was not heard for {silent:.0f} s" if silent > _SILENT_SECONDS else None


def _give_up() -> None:
    raise NotLeading
