"""The engine: what should happen to runs and pools, decided from what was observed.

Pure: no I/O, no clock of its own.

```
  observe (a world)          decide (here)                 apply (the same world)
  rows, objects, reports ──▶ World ──▶ plan() ──▶ Decision ──▶ PUT, DELETE, finish, start, drain
```
"""

from relayrun_operator.engine.decisions import Abandon, Assign, Cancel, Decision, Finish, Nothing, Wait
from relayrun_operator.engine.ladder import decide
from relayrun_operator.engine.loss import (
    LOST_AFTER_SECONDS,
    Liveness,
    Silences,
    TickClock,
    lost_runners,
    silent_runners,
    wants_look,
)
from relayrun_operator.engine.model import AgentView, Report, RunnerView, RunView, Startup, Waiting
from relayrun_operator.engine.plan import plan
from relayrun_operator.engine.pool import Demand, PoolDecision, decide_pool
from relayrun_operator.engine.reasons import WaitReason
from relayrun_operator.engine.world import World

__all__ = [
    "LOST_AFTER_SECONDS",
    "Abandon",
    "AgentView",
    "Assign",
    "Cancel",
    "Decision",
    "Demand",
    "Finish",
    "Liveness",
    "Nothing",
    "PoolDecision",
    "Report",
    "RunView",
    "RunnerView",
    "Silences",
    "Startup",
    "TickClock",
    "Wait",
    "WaitReason",
    "Waiting",
    "World",
    "decide",
    "decide_pool",
    "lost_runners",
    "plan",
    "silent_runners",
    "wants_look",
]
