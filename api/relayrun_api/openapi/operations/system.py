"""What operators and probes ask."""

from relayrun_api.openapi.operation import Operation, Operations, Text
from relayrun_api.openapi.shapes.system import Alive, Answering, Info, Status

OPERATIONS: Operations = {
    ("GET", "/ok"): Operation(
        "get_ok",
        "In local mode 503 until the first runner has registered its graphs, with what stands in the way. In a cluster "
        "it looks at no runner; for probes use `/healthz` and `/readyz`.",
        Answering,
        refusals=(503,),
    ),
    ("GET", "/info"): Operation("get_info", "Clients read here what they may ask for.", Info),
    ("GET", "/status"): Operation(
        "get_status",
        "Not for probes. Without a token only `status` is told; admins are told hosts and messages too.",
        Status,
        also={503: "The database is down."},
        asks_who=True,
    ),
    ("GET", "/healthz"): Operation(
        "get_liveness",
        "For a liveness probe: it asks nobody. 503: this process has lost its connections to a database that answers.",
        Alive,
        refusals=(503,),
    ),
    ("GET", "/readyz"): Operation(
        "get_readiness",
        "For a readiness probe: the database answers, and has the schema that is needed.",
        Alive,
        refusals=(503,),
    ),
    ("GET", "/metrics"): Operation(
        "get_metrics",
        "Counters, gauges and histograms, all with the prefix `relayrun_`.",
        Text("text/plain", "# HELP relayrun_active_threads Threads with a running run\nrelayrun_active_threads 7.0\n"),
        refusals=(503,),
    ),
}
