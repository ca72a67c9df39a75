"""The chaos: what it finds, and a short one, whose runs must all come through."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from bench.chaos.seen import STEPS_OF, Effect, Kill, RunSeen, Told, by_run, read_ledger
from bench.chaos.verdict import judge

NAMES = sorted(STEPS_OF["steps"])


def told(number: int, step: str | None, *, attempt: int = 1, at: float | None = None) -> Told:
    return Told(number if at is None else at, f"1-{(attempt << 32) + number}", step)


def effect(number: int, step: str, *, process: str = "p", began: float | None = None, pid: int = 1) -> Effect:
    began = number if began is None else began
    return Effect("run", step, f"e{number}{process}", process, pid, "", began, began + 0.5)


def a_run() -> tuple[RunSeen, list[Effect]]:
    """All ten steps, a second each."""
    effects = [effect(number, step) for number, step in enumerate(NAMES, 1)]
    events = [told(number, step) for number, step in enumerate(NAMES, 1)]
    did = [(one.step, one.effect) for one in effects]
    return RunSeen("steps", "thread", "run", 0.0, 20.0, "success", events, did), effects


def faults_of(run: RunSeen, effects: list[Effect]) -> list[str]:
    return [fault.partition(": ")[2] for fault in judge([run], by_run(effects), []).faults]


def test_nothing_is_found_where_all_went_well():
    run, effects = a_run()
    verdict = judge([run], by_run(effects), [])
    assert (verdict.faults, verdict.succeeded, verdict.steps, verdict.begun_again) == ([], 1, 10, 0)


def test_a_run_that_did_not_succeed_is_told():
    run, effects = a_run()
    [fault] = judge([replace(run, status="error")], by_run(effects), []).faults
    assert fault == "run run of steps is error, thread thread"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda run, _: run.told.append(told(11, NAMES[3])), f"{NAMES[3]} was told 2 times"),
        (lambda run, _: run.told.pop(3), f"{NAMES[3]} was never told"),
        (lambda run, _: run.told.append(run.told[0]), "events came twice or out of order"),
        (lambda run, _: run.did.append(run.did[0]), f"{NAMES[0]} counted 2 times"),
        (lambda run, _: run.did.pop(0), f"{NAMES[0]} is lost"),
        (lambda _, effects: effects.pop(4), f"the effect of {NAMES[4]} is not in the ledger"),
        (lambda _, effects: effects.append(effect(12, NAMES[4])), f"{NAMES[4]} had finished and was done again"),
        (
            lambda _, effects: effects.append(effect(12, NAMES[4], process="q")),
            f"{NAMES[4]} had finished and was done again",
        ),
    ],
)
def test_what_was_lost_or_repeated_is_found(change, fault):
    run, effects = a_run()
    change(run, effects)
    assert fault in faults_of(run, effects)


def test_a_step_that_was_cut_off_may_be_begun_again_and_a_displaced_attempt_may_be_late():
    run, effects = a_run()
    cut_off = replace(effect(5, NAMES[4], process="q", began=4.9), ended=None)
    late = effect(6, NAMES[4], process="q", began=5.6)
    verdict = judge([run], by_run([*effects[:4], cut_off, *effects[4:], late]), [])
    assert (verdict.faults, verdict.begun_again) == ([], 2)


def test_a_gap_is_from_the_kill_to_the_next_attempt_of_what_the_victim_executed():
    run, effects = a_run()
    run.told[5:] = [told(number, step, attempt=2, at=number + 1.5) for number, step in enumerate(NAMES[5:], 6)]
    kills = [Kill(5.5, "runner", 1), Kill(5.5, "runner", 2), Kill(6.0, "api", 99), Kill(30.0, "api", 99)]
    assert judge([run], by_run(effects), kills).gaps == {"runner": [2.0], "api": [1.5]}


def test_a_pod_takes_what_it_executes_with_it():
    run, effects = a_run()
    effects = [replace(effect, host="pod-1") for effect in effects]
    run.told[5:] = [told(number, step, attempt=2, at=number + 1.5) for number, step in enumerate(NAMES[5:], 6)]
    one, two = frozenset({"pod-1"}), frozenset({"pod-2"})
    kills = [Kill(5.5, "pod", 0, one), Kill(5.5, "pod", 0, two), Kill(5.5, "parent", 0, one)]
    assert judge([run], by_run(effects), kills).gaps == {"pod": [2.0], "parent": [2.0]}


def test_a_node_takes_what_its_pods_execute_with_it_and_is_in_the_way_of_all_others():
    run, effects = a_run()
    effects = [replace(effect, host="pod-1") for effect in effects]
    run.told[5:] = [told(6, NAMES[5], at=6.5), told(7, NAMES[6], attempt=2, at=8.5)]
    kills = [Kill(5.5, "node", 0, frozenset({"pod-1", "pod-2"})), Kill(5.5, "node", 0, frozenset({"pod-3"}))]
    assert judge([run], by_run(effects), kills).gaps == {"node": [3.0, 1.0]}


def test_a_line_that_its_process_did_not_live_to_finish_is_none(tmp_path):
    entry = {"run": "r", "step": "s", "effect": "e", "process": "p", "pid": 1, "host": "", "what": "begin", "at": 1.0}
    (tmp_path / "p.jsonl").write_text(json.dumps(entry) + "\n" + json.dumps({**entry, "what": "end"})[:40])
    assert read_ledger(tmp_path) == [Effect("r", "s", "e", "p", 1, "", 1.0, None)]


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_runs_come_through_a_short_chaos_and_nothing_is_lost_or_repeated():
    command = [
        *(sys.executable, "-m", "bench.chaos", "--runs", "24", "--clients", "6", "--limit", "240", "--json", "-"),
        *("--victims", "runner,api,postgres,parent", "--every", "1", "--kills", "8", "--step-seconds", "0.2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    print(done.stderr)
    assert done.returncode == 0, done.stdout
    outcome = json.loads(done.stdout)
    assert (outcome["well"], outcome["succeeded"], outcome["faults"]) == (True, 24, [])
    assert outcome["kills"]
