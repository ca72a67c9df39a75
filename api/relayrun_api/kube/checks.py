"""What `/status` says of the cluster: whether it answers, and whether an operator leads."""

from datetime import UTC, datetime

from relayrun_api.kube.agents import AgentDirectory
from relayrun_api.kube.client import Kube, KubeRefused, Object
from relayrun_api.system.status import Check, ClusterChecks, Health


def cluster_checks(kube: Kube, agents: AgentDirectory, namespace: str) -> ClusterChecks:
    """The checks `kubernetes` and `operator`; the Lease is in `namespace`."""

    async def checks() -> dict[str, Check]:
        try:
            lease = await kube.lease(namespace)
        except KubeRefused as refused:
            if refused.status == 404:
                return {"kubernetes": Check(Health.OK), "operator": Check(Health.DOWN, {"reason": "none has led yet"})}
            down = Check(Health.DOWN, {"reason": str(refused)})
            return {"kubernetes": down, "operator": Check(Health.DOWN, {"reason": "its Lease cannot be read"})}
        cluster = Check(Health.DEGRADED, {"reason": agents.away}) if agents.away else Check(Health.OK)
        return {"kubernetes": cluster, "operator": operator_check(lease, datetime.now(UTC))}

    return checks


def operator_check(lease: Object, now: datetime) -> Check:
    """Whether an operator holds the Lease, by its last renewal."""
    spec = lease.get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return Check(Health.DOWN, {"reason": "no operator leads: one will take over within seconds"})
    age = max(0.0, (now - datetime.fromisoformat(renewed)).total_seconds())
    told = f"lease renewed {age:.0f} s ago by {holder}"
    late = age > float(spec.get("leaseDurationSeconds") or 15)
    return Check(Health.DOWN if late else Health.OK, {"reason": told})
