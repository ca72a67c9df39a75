"""Builders of what the engine sees: name only what the test is about."""

from typing import Any

from relayrun_core.runner_protocol import AttemptState, OutcomeBody, RunReport
from relayrun_core.states import RunStatus
from relayrun_operator.engine import AgentView, Liveness, Report, RunnerView, RunView, TickClock, World

NOW = 1_000.0
WALL = 1_700_000_000.0


def make_run(name: str = "run", **fields: Any) -> RunView:
    return RunView(**{"run_id": name, "agent": "a", "graph": "g", "thread": f"t-{name}", "order": 1} | fields)


def make_held_run(name: str = "run", attempt: int = 1, runner: str = "r1", **fields: Any) -> RunView:
    known = {"status": RunStatus.RUNNING, "attempt": attempt, "runner": runner, "holder": f"holder-{runner}"}
    return make_run(name, **known | {"active_deadline": WALL + 3600} | fields)


def make_runner(name: str = "r1", runs: dict[str, Report] | None = None, **fields: Any) -> RunnerView:
    known = {"agent": "a", "generation": "new", "holder": f"holder-{name}", "slots": 2, "last_heard": NOW}
    return RunnerView(name=name, runs=runs or {}, **known | fields)


def report(attempt: int = 1, state: AttemptState = AttemptState.RUNNING, *, alone: bool = False) -> Report:
    return Report(attempt, state, alone)


def told(run_id: object, attempt: int, state: AttemptState, status: RunStatus | None = None) -> RunReport:
    """What a runner's stream says of an attempt."""
    outcome = OutcomeBody(status=status) if status else None
    return RunReport(run_id=str(run_id), attempt=attempt, state=state, outcome=outcome)


def make_agent(**fields: Any) -> AgentView:
    return AgentView(**{"name": "a", "generation": "new", "slots": 2} | fields)


def make_world(*runners: RunnerView, now: float = NOW, **fields: Any) -> World:
    known = {"wall": WALL, "liveness": Liveness(now, TickClock(now, 0.0)), "agents": {"a": make_agent()}}
    return World(runners={runner.name: runner for runner in runners}, **known | fields)
