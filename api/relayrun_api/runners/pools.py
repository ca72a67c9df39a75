"""What a world knows of an agent's runners, for whoever looks after them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunnerFacts:
    """A runner. `state`: starting, ready, draining, lost or refused; `restarts`: of its process in one pod."""

    name: str
    state: str
    slots: int | None = None
    generation: str | None = None
    restarts: int = 0


@dataclass(frozen=True)
class Death:
    """An end that nobody asked for. `at` is in ISO 8601."""

    runner: str
    at: str
    reason: str


@dataclass(frozen=True)
class AgentCondition:
    """A condition of an Agent's status."""

    type: str
    status: str
    reason: str
    message: str | None = None
    since: str | None = None


@dataclass(frozen=True)
class AgentPool:
    """An agent's runners. `conditions` are a cluster's, `deaths` the last ones, newest first."""

    ready: int
    desired: int
    generation: str | None = None
    runners: tuple[RunnerFacts, ...] = ()
    deaths: tuple[Death, ...] = ()
    conditions: tuple[AgentCondition, ...] = ()


def local_pool(agent: str, listed: Mapping[str, Any], desired: int | None) -> AgentPool | None:
    """The pool in the local world's list; None where the list knows no such agent."""
    entries = [entry for entry in listed["runners"] if entry["agent"] == agent]
    about: Mapping[str, Any] = listed.get("agent") or {}
    known = about.get("name") == agent
    if not (entries or known):
        return None
    runners = tuple(
        RunnerFacts(
            entry["name"],
            entry.get("state") or ("ready" if entry.get("ready", True) else "starting"),
            entry.get("slots"),
            _text(entry.get("generation")),
        )
        for entry in entries
    )
    ready = sum(runner.state == "ready" for runner in runners)
    wanted = desired if known and desired is not None else len(runners)
    deaths = tuple(Death(**entry) for entry in about.get("deaths") or ()) if known else ()
    return AgentPool(ready, wanted, _text(about.get("generation")) if known else None, runners, deaths)


def cluster_pool(status: Mapping[str, Any]) -> AgentPool:
    """The pool in the status of an Agent, whichever version of the operator wrote that."""
    runners = tuple(
        RunnerFacts(
            entry["name"], entry["state"], entry.get("slots"), entry.get("revision"), int(entry.get("restarts") or 0)
        )
        for entry in _objects(status.get("runners"))
    )
    deaths = tuple(
        Death(entry["runner"], entry["time"], entry["reason"]) for entry in _objects(status.get("recentDeaths"))
    )
    conditions = tuple(
        AgentCondition(
            entry["type"],
            entry["status"],
            entry.get("reason") or "",
            entry.get("message"),
            entry.get("lastTransitionTime"),
        )
        for entry in _objects(status.get("conditions"))
    )
    return AgentPool(
        int(status.get("readyReplicas") or 0),
        int(status.get("replicas") or 0),
        status.get("currentRevision"),
        runners,
        deaths,
        conditions,
    )


def _objects(value: Sequence[Mapping[str, Any]] | None) -> Sequence[Mapping[str, Any]]:
    return value or ()


def _text(value: object) -> str | None:
    return None if value is None else str(value)
