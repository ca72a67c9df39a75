"""Where runs go: load, newest code, suspects, and never more than there are slots."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from relayrun_operator.engine import Assign, Wait, Waiting, plan
from tests.operator.build import make_agent, make_held_run, make_run, make_runner, make_world, report


def placed(decisions) -> dict[str, str]:
    return {run.run_id: decision.runner for run, decision in decisions if isinstance(decision, Assign)}


def busy(name: str, load: int, **fields):
    return make_runner(name, {f"{name}-{n}": report() for n in range(load)}, **{"slots": 10} | fields)


def alone(name: str, **fields):
    return make_runner(name, {f"{name}-0": report(alone=True)}, **{"slots": 10} | fields)


def test_the_least_loaded_runner_takes_the_run():
    world = make_world(busy("r1", 3), busy("r2", 1), busy("r3", 2))
    assert placed(plan([make_run()], world)) == {"run": "r2"}


def test_the_newest_code_is_preferred_even_when_it_is_busier():
    world = make_world(busy("r1", 0, generation="old"), busy("r2", 4))
    assert placed(plan([make_run()], world)) == {"run": "r2"}
    full = make_world(busy("r1", 0, generation="old"), busy("r2", 4, slots=4))
    assert placed(plan([make_run()], full)) == {"run": "r1"}


def test_runs_of_one_pass_see_the_slots_that_those_before_them_took():
    runs = [make_run(f"n{n}", order=n) for n in range(5)]
    decisions = plan(reversed(runs), make_world(make_runner("r1"), make_runner("r2")))
    assert placed(decisions) == {"n0": "r1", "n1": "r2", "n2": "r1", "n3": "r2"}
    assert isinstance(decisions[-1][1], Wait)
    assert decisions[-1][0].run_id == "n4"


def test_an_older_run_that_waits_goes_before_a_new_one():
    world = make_world(make_runner(slots=1))
    decisions = plan([make_run("new", order=9)], world, waiting=[make_run("old", order=2)])
    assert placed(decisions) == {"old": "r1"}


def test_a_long_queue_is_passed_over_once_the_agent_is_full():
    waiting = [make_run(f"w{n}", order=n) for n in range(1000)]
    decisions = plan([], make_world(make_runner(slots=1)), waiting=waiting)
    assert [run.run_id for run, _ in decisions] == ["w0", "w1"]


def test_a_suspect_is_placed_alone():
    world = make_world(busy("r1", 1), busy("r2", 0))
    [(_, decision)] = plan([make_run(suspect=True)], world)
    assert (decision.runner, decision.alone) == ("r2", True)


def test_a_suspect_waits_while_no_runner_is_idle():
    assert placed(plan([make_run(suspect=True)], make_world(busy("r1", 1), busy("r2", 1)))) == {}


def test_a_runner_with_a_suspect_takes_nothing_else():
    assert placed(plan([make_run()], make_world(alone("r1"), busy("r2", 9)))) == {"run": "r2"}
    assert placed(plan([make_run()], make_world(alone("r1"), busy("r2", 10)))) == {}


def test_two_suspects_of_one_pass_do_not_share_a_runner():
    runs = [make_run("s1", order=1, suspect=True), make_run("s2", order=2, suspect=True)]
    assert placed(plan(runs, make_world(busy("r1", 0)))) == {"s1": "r1"}


def test_suspects_get_half_of_the_pool_while_others_wait_and_all_of_it_otherwise():
    suspect = make_run(suspect=True)
    pool = (alone("r1"), alone("r2"), busy("r3", 0), busy("r4", 0))
    assert placed(plan([suspect], make_world(*pool, waiting={"a": Waiting(1, 3)}))) == {}
    assert placed(plan([suspect], make_world(*pool, waiting={"a": Waiting(1, 0)}))) == {"run": "r3"}


def test_the_only_runner_takes_a_suspect_when_it_is_idle():
    waiting = {"a": Waiting(1, 3)}
    suspect = make_run(suspect=True)
    assert placed(plan([suspect], make_world(busy("r1", 0), waiting=waiting))) == {"run": "r1"}
    assert placed(plan([suspect], make_world(busy("r1", 1), waiting=waiting))) == {}


def test_a_busy_pool_keeps_a_runner_free_for_a_suspect_that_waits():
    world = make_world(busy("r1", 1), busy("r2", 3), waiting={"a": Waiting(suspects=1)})
    assert placed(plan([make_run()], world)) == {"run": "r2"}
    assert placed(plan([make_run()], make_world(busy("r1", 1), waiting={"a": Waiting(suspects=1)}))) == {"run": "r1"}


pools = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.booleans(), st.booleans(), st.sampled_from(["new", "old"])),
    max_size=5,
)
queues = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), max_size=25)


@settings(deadline=None)
@given(pools, queues)
def test_no_runner_ever_gets_more_runs_than_it_has_slots(pool, queue):
    runners = [
        replace(
            alone(f"r{n}", slots=slots) if exclusive else busy(f"r{n}", min(load, slots), slots=slots),
            draining=draining,
            generation=generation,
        )
        for n, (slots, load, exclusive, draining, generation) in enumerate(pool)
    ]
    runs = [
        make_held_run(f"q{n}", order=n, runner="lost") if had_runner else make_run(f"q{n}", order=n, suspect=suspect)
        for n, (suspect, had_runner, _) in enumerate(queue)
    ]
    waiting = [run for run, (_, _, kind) in zip(runs, queue, strict=True) if kind]
    changed = [run for run, (_, _, kind) in zip(runs, queue, strict=True) if not kind]
    counts = Waiting(sum(run.suspect for run in waiting), sum(not run.suspect for run in waiting))
    decisions = plan(changed, make_world(*runners, waiting={"a": counts}), waiting)

    taken = Counter(placed(decisions).values())
    suspects = [decision.runner for run, decision in decisions if isinstance(decision, Assign) and run.suspect]
    for runner in runners:
        assert runner.load + taken[runner.name] <= max(runner.load, runner.slots)
        if runner.exclusive or runner.draining:
            assert taken[runner.name] == 0
    for name in suspects:
        assert taken[name] == 1
    ids = [run.run_id for run, _ in decisions]
    assert len(ids) == len(set(ids))
    assert {run.run_id for run in changed} <= set(ids)


def test_agents_do_not_share_runners():
    world = make_world(make_runner("r1"), agents={"a": make_agent(), "b": make_agent(name="b")})
    decisions = plan([make_run("mine"), make_run("other", agent="b", order=2)], world)
    assert placed(decisions) == {"mine": "r1"}
