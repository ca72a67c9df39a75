"""An Agent's status, derived from its pods and what its runners say. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from operator import itemgetter
from typing import Any

from relayrun_core.graph_names import full_name
from relayrun_operator.kube import names, reasons
from relayrun_operator.kube.conditions import condition, settle, timestamp
from relayrun_operator.kube.reasons import AgentReason
from relayrun_operator.kube.revisions import Revision
from relayrun_operator.kube.runner import CONFIG_REASONS, PULL_REASONS

Object = dict[str, Any]

#: What somebody has to put right: kstatus and Argo CD call it failed. All else may come right by itself.
_STALLED = frozenset(
    {
        AgentReason.POD_FORBIDDEN,
        AgentReason.IMAGE_PULL_FAILED,
        AgentReason.CONTAINER_START_FAILED,
        AgentReason.CRASH_LOOPING,
        AgentReason.GRAPH_LOAD_FAILED,
    }
)

#: As many as the kind allows.
_MOST_REVISIONS = 256
_MOST_RUNNERS = 256

#: A process that has ended this often without ever being ready will not be mended by another try.
_RESTARTS = 2


@dataclass(frozen=True)
class PoolFacts:
    """What is known of an Agent's runners. `refusal` is the API server's sentence about the last refused pod.

    `taken`: those of its graphs whose plain name an older Agent has, each with that one's name.
    """

    generation: int | None
    wanted: int
    replicas: int = 0
    ready: int = 0
    updated: int = 0
    active_threads: int = 0
    queued_runs: int = 0
    graphs: Collection[str] = ()
    agent: str = ""
    taken: Mapping[str, str] = field(default_factory=dict)
    revision: str = ""
    #: Each with the end of its pin, in Unix seconds, and how many runners it has.
    revisions: Collection[tuple[Revision, float | None, int]] = ()
    suspended: bool = False
    refusal: str = ""
    #: Its sentence about a pod that it did not make although it may: it throttles, or is ill.
    failure: str = ""
    pods: Collection[Object] = field(default=(), repr=False)
    #: Why runners whose process runs are not ready, in their own words.
    troubles: Collection[str] = ()
    #: The pods of runners that refuse the operator's token.
    refused: Collection[str] = ()
    #: What these runners wait for: the database, or its migrations.
    waits_for: Collection[str] = ()
    #: The runners and their last ends, as the kind has them.
    runners: Collection[Object] = ()
    deaths: Collection[Object] = ()


def agent_status(facts: PoolFacts, before: Object, now: float) -> Object:
    """The whole status, given the one that the API server has."""
    holds, reason, message = readiness(facts)
    wanted = [
        condition(reasons.READY, holds, reason.value, message, facts.generation, now),
        *_name_conflict(facts, now),
    ]
    if (more := _for_kstatus(facts, holds, reason, message)) is not None:
        wanted.append(condition(more[0], True, more[1].value, more[2], facts.generation, now))
    kinds = {entry["type"] for entry in wanted}  # all but Ready are there only while they hold
    known = [entry for entry in before.get("conditions") or () if entry["type"] in kinds]
    return {
        **({} if facts.generation is None else {"observedGeneration": facts.generation}),
        "conditions": settle(wanted, known),
        "graphs": sorted(facts.graphs),
        **_revisions(facts),
        "replicas": facts.replicas,
        "readyReplicas": facts.ready,
        "updatedReplicas": facts.updated,
        "selector": f"{names.AGENT_LABEL}={facts.agent}",
        "activeThreads": facts.active_threads,
        "queuedRuns": facts.queued_runs,
        "runners": sorted(facts.runners, key=itemgetter("name"))[:_MOST_RUNNERS],
        **({"recentDeaths": list(facts.deaths)} if facts.deaths else {}),
    }


def _revisions(facts: PoolFacts) -> Object:
    if not facts.revisions:
        return {}
    newest_first = sorted(facts.revisions, key=lambda entry: entry[0].replaced_at or inf, reverse=True)
    listed = [
        {
            "name": revision.name,
            "image": revision.spec["image"],
            "createdAt": timestamp(revision.created_at),
            **({} if revision.replaced_at is None else {"replacedAt": timestamp(revision.replaced_at)}),
            **({} if pinned_until is None else {"pinnedUntil": timestamp(pinned_until)}),
            "runners": runners,
        }
        for revision, pinned_until, runners in newest_first[:_MOST_REVISIONS]
    ]
    return {"currentRevision": facts.revision, "revisions": listed}


def _name_conflict(facts: PoolFacts, now: float) -> list[Object]:
    if not facts.taken:
        return []
    sentences = [
        reasons.TAKEN_BY.format(graph=graph, holder=holder, name=full_name(facts.agent, graph))
        for graph, holder in sorted(facts.taken.items())
    ]
    message = "; ".join(sentences)
    return [condition(reasons.NAME_CONFLICT, True, reasons.NAME_TAKEN, message, facts.generation, now)]


def readiness(facts: PoolFacts) -> tuple[bool, AgentReason, str]:
    """Whether the Agent takes runs, and why it does or does not. What is wrong is told before what goes on."""
    text = reasons.RUNNERS_READY.format(ready=facts.ready, wanted=facts.wanted)
    if facts.suspended:
        text = f"{reasons.SUSPENDED}; {text}"
    if facts.ready and facts.ready >= facts.wanted:
        return True, AgentReason.RUNNERS_READY, text
    wrong = _trouble(facts)
    if wrong is not None and not facts.ready:
        return False, *wrong
    if wrong is not None:
        return True, AgentReason.RUNNERS_READY, f"{text}; {wrong[0].value}: {wrong[1]}"
    if facts.ready:
        return True, AgentReason.RUNNERS_READY, text
    if not facts.wanted:
        return True, AgentReason.RUNNERS_READY, reasons.NO_RUNNERS_WANTED
    return False, AgentReason.PROGRESSING, reasons.PROGRESSING.format(ready=facts.ready, wanted=facts.wanted)


def _for_kstatus(
    facts: PoolFacts, holds: bool, reason: AgentReason, message: str
) -> tuple[str, AgentReason, str] | None:
    """A condition that is there only while it holds: Stalled when waiting will not help, else Reconciling."""
    if not holds:
        return reasons.STALLED if reason in _STALLED else reasons.RECONCILING, reason, message
    if facts.updated < facts.replicas:
        text = reasons.UPDATING.format(updated=facts.updated, replicas=facts.replicas)
        if (wrong := _trouble(facts)) is not None:
            text = f"{text}; {wrong[0].value}: {wrong[1]}"
        return reasons.RECONCILING, AgentReason.PROGRESSING, text
    return None


Trouble = tuple[AgentReason, str]


def _trouble(facts: PoolFacts) -> Trouble | None:
    """What is wrong, the first that is."""
    return next(filter(None, (rule(facts) for rule in _TROUBLES)), None)


def _forbidden(facts: PoolFacts) -> Trouble | None:
    return (AgentReason.POD_FORBIDDEN, facts.refusal) if facts.refusal else None


def _not_created(facts: PoolFacts) -> Trouble | None:
    return (AgentReason.FAILED_CREATE, facts.failure) if facts.failure else None


def _unauthorized(facts: PoolFacts) -> Trouble | None:
    if not facts.refused:
        return None
    return AgentReason.UNAUTHORIZED, reasons.UNAUTHORIZED.format(pods=", ".join(sorted(facts.refused)))


def _graphs_failed(facts: PoolFacts) -> Trouble | None:
    first = next(iter(facts.troubles), None)
    return None if first is None else (AgentReason.GRAPH_LOAD_FAILED, first.partition("\n")[0])


def _database_away(facts: PoolFacts) -> Trouble | None:
    first = next(iter(facts.waits_for), None)
    return None if first is None else (AgentReason.DATABASE_UNAVAILABLE, first.partition("\n")[0])


def _not_pulled(facts: PoolFacts) -> Trouble | None:
    for waiting in _waiting(facts.pods):
        if waiting.get("reason") in PULL_REASONS:
            return AgentReason.IMAGE_PULL_FAILED, str(waiting.get("message") or waiting["reason"])
    return None


def _crashes(facts: PoolFacts) -> Trouble | None:
    for waiting in _waiting(facts.pods):
        if waiting.get("reason") in CONFIG_REASONS:
            return AgentReason.CONTAINER_START_FAILED, str(waiting.get("message") or waiting["reason"])
    for status in _statuses(facts.pods):
        ended = (status.get("lastState") or {}).get("terminated") or (status.get("state") or {}).get("terminated")
        if ended and not status.get("ready") and status.get("restartCount", 0) >= _RESTARTS:
            return AgentReason.CRASH_LOOPING, _death(status["restartCount"], ended)
    return None


def _death(times: int, ended: Object) -> str:
    """Why the container ended: the kubelet's word and the signal first, the process's own last line behind."""
    code = int(ended.get("exitCode") or 0)
    why = [] if ended.get("reason") in (None, "", "Error", "Completed") else [str(ended["reason"])]
    why.append(f"exit code {code}" + (f" (signal {code - 128})" if code > 128 else ""))
    text = f"the runner's process ended {times} times, {', '.join(why)}"
    last_words = str(ended.get("message") or "").strip().rpartition("\n")[2]
    return f"{text}; its last line: {last_words}" if last_words else text


def _unschedulable(facts: PoolFacts) -> Trouble | None:
    for pod in facts.pods:
        for entry in (pod.get("status") or {}).get("conditions") or ():
            if (
                entry["type"] == "PodScheduled"
                and entry["status"] == "False"
                and entry.get("reason") == "Unschedulable"
            ):
                return AgentReason.UNSCHEDULABLE, str(entry.get("message") or "no node fits")
    return None


_TROUBLES = (
    _forbidden,
    _not_created,
    _unauthorized,
    _not_pulled,
    _graphs_failed,
    _database_away,
    _crashes,
    _unschedulable,
)


def _waiting(pods: Iterable[Object]) -> Iterable[Object]:
    states = ((status.get("state") or {}).get("waiting") for status in _statuses(pods))
    return (waiting for waiting in states if waiting)


def _statuses(pods: Iterable[Object]) -> Iterable[Object]:
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            if status.get("name") == names.CONTAINER:
                yield status
