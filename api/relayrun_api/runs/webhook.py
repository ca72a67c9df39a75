"""What the receiver of a webhook is told of a run that has ended."""

from datetime import datetime

from relayrun_api.http.responses import dumps
from relayrun_api.runs.models import Run
from relayrun_api.threads.models import Failure, Interrupt
from relayrun_core.db.outbox import Delivery
from relayrun_core.states import RunStatus


def webhook_body(delivery: Delivery, now: datetime) -> bytes:
    """The run as its owner sees it, and the thread's values as it left them, as JSON."""
    run = delivery.run()
    asked = delivery.interrupts() if run.status is RunStatus.INTERRUPTED else []
    told = {
        **{name: value for name, value in vars(Run.of(run, tracebacks=False)).items() if name != "runner"},
        "error": Failure.of(run.error),
        "run_started_at": run.started_at,
        "run_ended_at": run.finished_at,
        "webhook_sent_at": now,
        "values": delivery.values,
        "interrupts": [Interrupt(entry.id, entry.value) for entry in asked],
    }
    return dumps(told)
