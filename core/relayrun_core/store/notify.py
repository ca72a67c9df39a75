"""Hints through NOTIFY: something of a run changed. Nobody relies on them; readers poll as well."""

from uuid import UUID

from relayrun_core.database import Database

#: Payload: the run id. A run was created, its cancel requested, or it ended.
RUNS_CHANNEL = "relayrun_runs"
#: Payload: the run id. The run's journal has new events.
EVENTS_CHANNEL = "relayrun_events"

#: A hint on one channel, as an asynchronous commit of its own. Parameters: channel, run id.
NOTIFY = "SELECT relayrun_notify_v1(%s, %s)"

#: Hints on both channels; its parameters come from `notify_params`.
NOTIFY_BOTH = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify(%(runs)s, %(run)s), pg_notify(%(events)s, %(run)s)"""


async def notify(database: Database, run_id: UUID) -> None:
    """Say that the run changed and may have new events; an asynchronous commit of its own."""
    await database.execute(NOTIFY_BOTH, notify_params(run_id))


def notify_params(run_id: UUID) -> dict[str, str]:
    """The parameters of NOTIFY_BOTH."""
    return {"runs": RUNS_CHANNEL, "events": EVENTS_CHANNEL, "run": str(run_id)}
