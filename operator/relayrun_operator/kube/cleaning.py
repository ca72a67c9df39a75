"""Deletes finished AgentRuns: after their TTL, or without one when the Agent's history exceeds its limit.

The history never takes one that waits for a person, nor one that failed within a day: nobody may have read them yet.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from relayrun_operator.kube import names
from relayrun_operator.kube.agentruns import AgentRuns
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.records import AgentRecord, RunRecord

logger = logging.getLogger("relayrun.kube")

_EVERY_SECONDS = 1.0
_AT_ONCE = 8
#: A deletion that is refused, or that a finalizer holds up, is not asked for again before: those behind it go first.
_AGAIN_SECONDS = 60.0
_DEFAULT_HISTORY = 100
_FAILURES_STAY_SECONDS = 86400


def expired(records: Iterable[RunRecord], history: Mapping[str, int], now: float) -> list[RunRecord]:
    """The finished runs that should go at `now`; `history`: how many without a TTL each Agent keeps."""
    leaving = []
    kept: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if not record.finished or record.gone or not record.completed_at:
            continue
        if record.deletion_asked_at is not None and abs(now - record.deletion_asked_at) < _AGAIN_SECONDS:
            continue
        if record.ttl_seconds is None:
            kept[record.agent].append(record)
        elif now >= record.completed_at + record.ttl_seconds:
            leaving.append(record)
    for agent, finished in kept.items():
        read = [record for record in finished if not record.waiting and not _failed_lately(record, now)]
        surplus = len(read) - history.get(agent, _DEFAULT_HISTORY)
        if surplus > 0:
            leaving += sorted(read, key=lambda r: (r.completed_at, r.name))[:surplus]
    return leaving


def _failed_lately(record: RunRecord, now: float) -> bool:
    return record.failed and now < record.completed_at + _FAILURES_STAY_SECONDS


async def clean_forever(
    client: KubeClient, lease: Lease, agentruns: AgentRuns, agents: Mapping[str, AgentRecord]
) -> None:
    """Delete what has expired, until cancelled."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def delete(record: RunRecord) -> None:
        async with room:
            try:
                lease.check()
                record.deletion_asked_at = time.time()
                body = {"preconditions": {"uid": record.uid}, "propagationPolicy": "Background"}
                await client.delete(names.runs_path(record.namespace, record.name), body)
            except KubeError as error:
                if not (error.conflict or error.refused):
                    record.deletion_asked_at = None
                if not error.conflict:
                    logger.info("AgentRun %s was not deleted: %s", record.key, error)

    while True:
        await asyncio.sleep(_EVERY_SECONDS)  # a rhythm: TTLs are seconds
        history = {key: agent.spec.run_history_limit for key, agent in agents.items()}
        leaving = expired(list(agentruns.by_key.values()), history, time.time())
        if leaving:
            async with asyncio.TaskGroup() as tasks:
                for record in leaving[:500]:
                    tasks.create_task(delete(record))
