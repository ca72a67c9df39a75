"""Names on which parts of an installation meet in a cluster: each has its one home here."""

from uuid import UUID

#: The Lease of the operator that leads.
LEASE = "relayrun-operator"
#: Where a runner serves its protocol.
RUNNER_PORT = 8123
#: The kind's definition, whose UID tells a rebuilt cluster from this one.
AGENTRUN_DEFINITION = "agentruns.relayrun.dev"
#: On an AgentRun: the revision that it goes on under.
REVISION_LABEL = "relayrun.dev/revision"
#: Backups leave the objects out that the API makes: Postgres has what they say.
BACKUP_EXCLUDED = {"velero.io/exclude-from-backup": "true"}


def runner_service(agent: str) -> str:
    """The headless Service behind which the API finds an Agent's runners."""
    return f"{agent}-runners"


def api_run(run_id: UUID) -> str:
    """The AgentRun of a run that the API accepted."""
    return f"run-{run_id}"
