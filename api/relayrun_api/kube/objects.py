"""AgentRuns as the API writes and reads them. Pure."""

from typing import Any

from relayrun_core.kinds import API_VERSION
from relayrun_core.kinds.names import BACKUP_EXCLUDED, REVISION_LABEL, api_run
from relayrun_core.runs import NewRun, Outcome, Run
from relayrun_core.states import Reason

Object = dict[str, Any]

#: Finished AgentRuns go soon: Postgres keeps the run, and thirty runs a second must not leave thousands of objects.
_TTL_SECONDS = 30

#: What the operator ends a run for, by itself. All other endings are a runner's, and in the row before.
_OPERATORS = frozenset(
    {
        Reason.DEADLINE_EXCEEDED,
        Reason.STARTING_DEADLINE_EXCEEDED,
        Reason.BACKOFF_LIMIT_EXCEEDED,
        Reason.INVALID_RUN,
        Reason.CANCELLED,
    }
)


def agentrun(run: Run | NewRun, namespace: str) -> Object:
    """The AgentRun of a run that the API accepted. No payload: none of a user's text enters etcd."""
    spec: Object = {
        "agentRef": {"name": run.agent},
        "graph": run.graph,
        "thread": str(run.thread_id),
        "runId": str(run.run_id),
        "startingDeadlineSeconds": run.spec.starting_deadline_seconds,
        "activeDeadlineSeconds": run.spec.active_deadline_seconds,
        "backoffLimit": run.spec.backoff_limit,
        "multitaskStrategy": run.spec.multitask_strategy.capitalize(),
        "ttlSecondsAfterFinished": _TTL_SECONDS,
    }
    if run.owner is not None:
        spec["owner"] = run.owner
    metadata: Object = {
        "name": api_run(run.run_id),
        "namespace": namespace,
        "annotations": dict(BACKUP_EXCLUDED),
    }
    if isinstance(run, Run) and run.revision is not None:
        metadata["labels"] = {REVISION_LABEL: run.revision}
    return {
        "apiVersion": API_VERSION,
        "kind": "AgentRun",
        "metadata": metadata,
        "spec": spec,
    }


def operators_outcome(found: Object) -> Outcome | None:
    """How the operator ended the run, if it did."""
    for condition in (found.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            reason = condition.get("reason")
            if reason in _OPERATORS:
                return Outcome(Reason(reason), condition.get("message") or "")
    return None
