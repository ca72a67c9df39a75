"""Crons."""

from relayrun_api.openapi.operation import Operation, Operations
from relayrun_api.openapi.shapes.crons import Cron

OPERATIONS: Operations = {
    ("POST", "/threads/{thread_id}/runs/crons"): Operation(
        "create_thread_cron",
        "`schedule` is a cron expression of five fields, in the time zone `timezone` (UTC without). The thread has to "
        "exist; where it is busy, `multitask_strategy` decides.",
        Cron,
        refusals=(409,),
    ),
    ("POST", "/runs/crons"): Operation(
        "create_cron",
        "`schedule` is a cron expression of five fields, in the time zone `timezone` (UTC without). The threads are "
        "deleted after their runs unless `on_run_completed` is `keep`.",
        Cron,
        refusals=(404, 409),
    ),
    ("POST", "/runs/crons/search"): Operation(
        "search_crons", "Yours only. `X-Pagination-Next` is the offset to go on at.", list[Cron]
    ),
    ("POST", "/runs/crons/count"): Operation("count_crons", "As many as a search would find.", int, 2),
    ("GET", "/runs/crons/{cron_id}"): Operation(
        "get_cron", "When it fires next, when it fired last, and why it did not when it should have.", Cron
    ),
    ("PATCH", "/runs/crons/{cron_id}"): Operation(
        "update_cron", "What is not sent stays; null takes `end_time`, `timezone` and the run's members away.", Cron
    ),
    ("DELETE", "/runs/crons/{cron_id}"): Operation("delete_cron", "Runs that it has started go on."),
}
