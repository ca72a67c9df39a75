"""Conditions, their reasons and sentences, as people read them with kubectl.

AgentRun: `Assigned`'s reasons are `relayrun_operator.engine.reasons`; those of `Complete`, `Waiting`, `Failed` and
`Finished` are `relayrun_core.states.Reason`. `Waiting` becomes False with Continued when a later run of the thread
begins. An AgentRun that was there before is `Assigned=False` with AlreadyExecuted. For kstatus, `Ready` says whether
the run has come to its end, and `Stalled` is there when it failed. Agent: `NameConflict` is True with NameTaken while
an older Agent has the name of one of its graphs, else it is not there; `Ready` is True with RunnersReady, else False
with one of these, and `Stalled` or `Reconciling` is there beside it.

| reason | meaning |
|---|---|
| RunnersReady | as many runners as are wanted are ready, or at least one |
| Progressing | runners start; nothing is known to be wrong |
| PodForbidden | the API server refuses the runner's pod: a quota, an admission rule, rights |
| FailedCreate | the API server failed to create a runner's pod: it throttles requests, or has an error |
| Unschedulable | the scheduler finds no node for a runner |
| ImagePullFailed | a node cannot pull the Agent's image |
| ContainerStartFailed | a node cannot start a runner's container: a Secret or the image's command is missing |
| CrashLooping | a runner's process exits again and again |
| GraphLoadFailed | a runner's process runs, but its graphs cannot be loaded |
| Unauthorized | runners refuse the operator's token: it was replaced, and some pods do not have the new one yet |
| DatabaseUnavailable | runners wait until the database answers, or until its migrations have run |
"""

from enum import StrEnum

from relayrun_core.kinds.identity import RERUN
from relayrun_core.states import Reason

READY = "Ready"
NAME_CONFLICT = "NameConflict"
STALLED = "Stalled"
RECONCILING = "Reconciling"
ASSIGNED = "Assigned"
COMPLETE = "Complete"
WAITING = "Waiting"
FAILED = "Failed"
FINISHED = "Finished"


class AgentReason(StrEnum):
    """Why an Agent is ready, or is not."""

    RUNNERS_READY = "RunnersReady"
    PROGRESSING = "Progressing"
    POD_FORBIDDEN = "PodForbidden"
    FAILED_CREATE = "FailedCreate"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_START_FAILED = "ContainerStartFailed"
    CRASH_LOOPING = "CrashLooping"
    GRAPH_LOAD_FAILED = "GraphLoadFailed"
    UNAUTHORIZED = "Unauthorized"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


#: For an AgentRun that ended, where nobody had more to say.
ENDED = {
    Reason.SUCCEEDED: "the graph has come to its end",
    Reason.WAITING_FOR_INPUT: "the thread waits for an answer: make another AgentRun with the command {resume: …}",
    Reason.CANCELLED: "the run was cancelled",
}

ALREADY_EXECUTED = "AlreadyExecuted"
NOT_AGAIN = (
    f"not executed again (a new value of the annotation {RERUN} asks for it): an AgentRun of this name and spec was"
    " there before, as run {run}; its end: {end}"
)
DIED = "{runner} died: {why}"
NUMBERED = "; the attempts are numbered up to {attempts}, with those that were put off"
TOO_LARGE = (
    "its output has {size} bytes, more than has room here: `relayrun output {run}` and"
    " GET /threads/{thread}/runs/{run}/join have it"
)
WAITS_TO_BE_SEEN = "the run waits for the operator's decision"
CONTINUED_BY_RUN = "a later run goes on with the thread"
CONTINUED = "Continued"
CONTINUED_BY = "AgentRun {name} goes on with the thread"
NAME_TAKEN = "NameTaken"
TAKEN_BY = "graph {graph} is that of Agent {holder}, which is older: this one's is called {name}"
RUNNERS_READY = "runners ready: {ready}, wanted: {wanted}"
NOT_IN_DATABASE = "run {run} is not in the database: only the API makes AgentRuns with a runId"
REJECTED = "the thread has an unfinished run, and multitaskStrategy is Reject"
NO_RUNNERS_WANTED = "no runner is wanted now: the first run starts one"
UNAUTHORIZED = (
    "{pods}: refuses the operator's token (401): while the runners' token is replaced, its Secret has to have the one "
    "before under previous-token"
)
PROGRESSING = "runners ready: {ready}, wanted: {wanted}; the others start"
UPDATING = "runners of the newest template: {updated} of {replicas}"
SUSPENDED = "suspended: nothing new is assigned"
