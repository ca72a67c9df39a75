"""What the routes are made of."""

from dataclasses import dataclass

from relayrun_runner.auth.handlers import AuthorAuth
from relayrun_runner.custom_app.app import CustomApp
from relayrun_runner.describe import GraphDescriber
from relayrun_runner.gate import Gate
from relayrun_runner.metrics import RunnerMetrics
from relayrun_runner.readiness import Readiness
from relayrun_runner.runs.assign import Assigner
from relayrun_runner.runs.board import RunBoard
from relayrun_runner.runs.watching import Watching
from relayrun_runner.store.calls import StoreCalls
from relayrun_runner.threads.reads import ThreadReads
from relayrun_runner.threads.state import ThreadStates
from relayrun_runner.vitals import Vitals

#: What is said where the graphs are needed before they are there.
NOT_LOADED = "the graphs are not loaded yet, or failed to load: /readyz says why"


@dataclass
class Protocol:
    """All that the routes need. `states`, `reads`, `describer` and `store` are None until the graphs are loaded."""

    token: str
    board: RunBoard
    gate: Gate
    readiness: Readiness
    metrics: RunnerMetrics
    watching: Watching
    vitals: Vitals
    assigner: Assigner | None = None
    states: ThreadStates | None = None
    reads: ThreadReads | None = None
    describer: GraphDescriber | None = None
    store: StoreCalls | None = None
    #: None: the agent has none, or it does not run yet.
    custom_app: CustomApp | None = None
    #: None: the agent has no authentication of its own, or its code is not loaded yet.
    auth: AuthorAuth | None = None
