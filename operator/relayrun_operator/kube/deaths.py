"""Counts unexpected deaths of runners, and reports them as Events of the Agent.

A pod's first process starts a runner that dies anew, and its next runner says how those before it ended. When the whole
container ends, as by an out-of-memory kill, the kubelet says so in the pod's status.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from relayrun_core.process.restarts import DeathReason, reason_of
from relayrun_operator.kube import names
from relayrun_operator.kube.conditions import timestamp
from relayrun_operator.kube.events import About, EventPoster
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.records import AgentRecord
from relayrun_operator.kube.revisions import agent_of_pool
from relayrun_operator.kube.runner import PodRunner

Object = Mapping[str, Any]

_IN_ITS_POD = "runner {pod}: its process {what}; the next one runs in the same pod"
_CONTAINER = "runner {pod}: its container {what}, exit code {code}; Kubernetes starts it again"
_OUT_OF_MEMORY = "OOMKilled"

#: As much as the kind allows.
_MOST_LISTED = 10
_LONGEST_REASON = 1024


class Deaths:
    """Notes deaths. `agents` are the Agents by key."""

    def __init__(
        self,
        events: EventPoster,
        metrics: OperatorMetrics,
        agents: Mapping[str, AgentRecord],
        tell_runs: Callable[[str, str], None],
    ) -> None:
        #: Called with a runner's key and why it died, for the runs that it had.
        self._tell_runs = tell_runs
        self._events = events
        self._metrics = metrics
        self._agents = agents

    def see_deaths(self, runner: PodRunner, reported: Mapping[str, int]) -> None:
        """A runner says how the processes before it in its pod ended, by reason."""
        known, runner.deaths = runner.deaths, dict(reported)
        if known is None:
            return  # they died while another operator led, which has told of them
        for reason in DeathReason:
            if (more := reported.get(reason, 0) - known.get(reason, 0)) > 0:
                text = _IN_ITS_POD.format(pod=runner.pod_name, what=reason.sentence)
                self._note(runner, reason, more, text, reason.value)

    def see_pod(self, runner: PodRunner, before: Object, after: Object) -> None:
        """A pod has changed: its container may have ended."""
        restarts, ended = _restarts(after)
        more = restarts - _restarts(before)[0]
        if more <= 0:
            return
        runner.deaths = {}  # its first process is another one, and counts anew
        code = int(ended.get("exitCode") or 0)
        reason = DeathReason.OOM_KILLED if ended.get("reason") == _OUT_OF_MEMORY else reason_of(_as_signal(code))
        text = _CONTAINER.format(pod=runner.pod_name, what=reason.sentence, code=code)
        self._note(runner, reason, more, text, f"{reason.value}, exit code {code}")

    def see_end(self, runner: PodRunner) -> None:
        """Its pod has ended or is gone: the kubelet, or whoever deleted it, may have said why."""
        if (why := why_ended(runner.pod, asked=runner.draining)) is not None:
            self._tell_runs(runner.name, why)
            self._list(runner, why)

    def _note(self, runner: PodRunner, reason: DeathReason, count: int, text: str, why: str) -> None:
        self._tell_runs(runner.name, why)
        key = agent_of_pool(runner.agent)
        self._metrics.runners_died(key, reason, count)
        self._list(runner, why)
        agent = self._agents.get(key)
        if agent is not None:
            about = About("Agent", agent.namespace, agent.name, agent.body["metadata"]["uid"])
            times = f" ({count} times)" if count > 1 else ""
            self._events.post(about, f"Runner{reason}", f"{text}{times}", unusual=True)

    def _list(self, runner: PodRunner, why: str) -> None:
        """For the Agent's status."""
        if (agent := self._agents.get(agent_of_pool(runner.agent))) is not None:
            death = {"runner": runner.pod_name, "time": timestamp(time.time()), "reason": why[:_LONGEST_REASON]}
            agent.deaths = [death, *agent.deaths][:_MOST_LISTED]


def why_ended(pod: Object, *, asked: bool = False) -> str | None:
    """What the pod's status says of its end: evicted, its node lost, out of memory, an exit code; None: nothing.

    `asked`: it was to end, so that an exit code means nothing.
    """
    status = pod.get("status") or {}
    said = [(status.get("reason"), status.get("message"))]
    disrupted = (one for one in status.get("conditions") or () if one["type"] == "DisruptionTarget")
    said += [(one.get("reason"), one.get("message")) for one in disrupted if one["status"] == "True"]
    for reason, message in said:
        if reason:
            return f"{reason}: {message}" if message else str(reason)
    for container in () if asked else _statuses(pod):
        if ended := (container.get("state") or {}).get("terminated"):
            return f"{ended.get('reason') or 'Ended'}, exit code {ended.get('exitCode')}"
    return None


def restarts_of(runner: PodRunner) -> int:
    """How often its container, and the processes in it, were started again."""
    return _restarts(runner.pod)[0] + sum((runner.deaths or {}).values())


def _restarts(pod: Object) -> tuple[int, Object]:
    """How often the runner's container was started again, and how it ended last."""
    for status in _statuses(pod):
        return int(status.get("restartCount") or 0), (status.get("lastState") or {}).get("terminated") or {}
    return 0, {}


def _statuses(pod: Object) -> Iterator[Object]:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == names.CONTAINER:
            yield status


def _as_signal(code: int) -> int:
    """An exit code of a container, as `subprocess` would tell it."""
    return 128 - code if code > 128 else code
