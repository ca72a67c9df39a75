"""How many runners, which come and which go."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relayrun_operator.engine import Demand, Startup, decide_pool
from relayrun_operator.engine.pool import LONGEST_CREATION_SECONDS, LONGEST_LOAD_SECONDS, wanted_runners
from tests.operator.build import NOW, make_agent, make_runner, report

NOBODY: frozenset[str] = frozenset()
IDLE = Demand()


@pytest.mark.parametrize(
    ("settings", "demand", "wanted"),
    [
        ({}, Demand(), 1),
        ({"min_runners": 0}, Demand(), 0),
        ({"min_runners": 0, "spare": 1, "max_runners": 9}, Demand(), 1),
        ({"max_runners": 9}, Demand(active=3), 2),
        ({"max_runners": 9}, Demand(active=3, queued=2), 3),
        ({"max_runners": 9, "spare": 2}, Demand(active=3, queued=2), 5),
        ({"max_runners": 9}, Demand(active=4, suspects=2), 3),
        ({"max_runners": 2}, Demand(queued=100), 2),
        ({"min_runners": 3, "max_runners": 9}, Demand(active=1), 3),
    ],
)
def test_the_pool_has_room_for_active_and_queued_runs_and_spare_ones_within_its_bounds(settings, demand, wanted):
    assert wanted_runners(make_agent(slots=2, **settings), demand) == wanted


def pool_of(agent, runners, demand=IDLE, now=NOW, lost=NOBODY):
    return decide_pool(agent, runners, lost, demand, now)


def test_missing_runners_are_started_at_once():
    assert pool_of(make_agent(min_runners=3, max_runners=3), [make_runner()]).start == 2


def test_a_lost_or_draining_runner_is_replaced():
    agent = make_agent(min_runners=3, max_runners=3)
    runners = [make_runner("r1", gone=True), make_runner("r2", draining=True), make_runner("r3")]
    assert pool_of(agent, runners, lost=frozenset({"r3"})).start == 3


def test_silent_runners_that_are_still_there_are_replaced_once_and_not_again_and_again():
    agent = make_agent(min_runners=2, max_runners=2)
    silent = [make_runner("r1"), make_runner("r2")]
    lost = frozenset({"r1", "r2", "r3", "r4"})
    assert pool_of(agent, silent, lost=lost).start == 2
    assert pool_of(agent, [*silent, make_runner("r3"), make_runner("r4")], lost=lost).start == 0


def unready(name, startup, *, since=0.0, was_ready=False):
    return make_runner(name, ready=False, startup=startup, unready_since=NOW - since, was_ready=was_ready)


FULL = make_runner("full", {"a": report(), "b": report()})
BACK_OFF, RUNNING, CREATED, HELD_UP = Startup.BACK_OFF, Startup.RUNNING, Startup.CREATED, Startup.HELD_UP


@pytest.mark.parametrize("runners", [1, 3])
def test_a_runner_that_served_and_is_in_back_off_leaves_and_is_replaced(runners):
    agent = make_agent(min_runners=runners, max_runners=runners)
    pool = [unready(f"b{n}", BACK_OFF, was_ready=True) for n in range(runners)]
    decision = pool_of(agent, pool)
    assert (decision.start, decision.drain, decision.broken) == (runners, *[tuple(r.name for r in pool)] * 2)


@pytest.mark.parametrize(
    ("there", "start"),
    [
        ([make_runner()], 0),  # there is room: it is given out in a moment
        ([make_runner(holder=None, ready=False)], 0),  # it starts
        ([FULL], 1),
        ([make_runner("alone", {"a": report(alone=True)})], 1),
        ([make_runner("owned", owner="other")], 1),
        ([make_runner("left", {"x": report(), "y": report()})], 1),  # with what nobody counts any more
        ([make_runner("r1", draining=True)], 1),
        ([make_runner("r1", gone=True)], 1),
        ([FULL, unready("b", BACK_OFF)], 1),
        ([FULL, unready("b", BACK_OFF), unready("c", BACK_OFF)], 1),
        ([unready("b", BACK_OFF)], 1),  # never ready: once more, perhaps on another node
        ([unready("b", BACK_OFF), unready("c", BACK_OFF)], 0),  # but not again and again
        ([unready("b", RUNNING, since=LONGEST_LOAD_SECONDS - 1)], 0),
        ([unready("b", RUNNING, since=LONGEST_LOAD_SECONDS)], 1),
        ([unready("b", RUNNING, since=LONGEST_LOAD_SECONDS, was_ready=True)], 1),
        ([unready("b", CREATED, since=LONGEST_CREATION_SECONDS - 1)], 0),
        ([unready("b", CREATED, since=LONGEST_CREATION_SECONDS)], 1),
        ([unready("b", HELD_UP, since=LONGEST_CREATION_SECONDS)], 0),  # the next one would be held up as well
    ],
)
@pytest.mark.parametrize("alone", [False, True], ids=["shared", "suspect"])
def test_a_queued_run_grows_the_pool_when_what_is_there_cannot_take_it(there, start, alone):
    demand = Demand(queued=1, suspects=int(alone), queued_suspects=int(alone))
    assert pool_of(make_agent(min_runners=0, max_runners=5), there, demand).start == start
    assert pool_of(make_agent(min_runners=0, max_runners=len(there)), there, demand).start <= sum(
        runner.draining or runner.gone for runner in there
    )


def test_an_idle_runner_that_nothing_needs_leaves_after_the_delay_the_longest_idle_first():
    agent = make_agent(max_runners=9, scale_down_delay_seconds=300)
    runners = [
        make_runner("r1", idle_since=NOW - 301),
        make_runner("r2", idle_since=NOW - 400),
        make_runner("r3", idle_since=NOW - 299),
        make_runner("r4", {"x": report()}),
    ]
    assert pool_of(agent, runners, Demand(active=1)).drain == ("r2", "r1")
    assert pool_of(agent, runners[:2], Demand(active=1)).drain == ("r2",)


def test_new_code_replaces_the_old_one_by_one_and_only_when_it_is_ready():
    agent = make_agent(min_runners=2, max_runners=2)
    old = [make_runner("o1", generation="old"), make_runner("o2", {"x": report()}, generation="old")]
    assert (pool_of(agent, old).start, pool_of(agent, old).drain) == (1, ())
    starting = [*old, make_runner("n1", ready=False)]
    assert (pool_of(agent, starting).start, pool_of(agent, starting).drain) == (0, ())
    ready = [*old, make_runner("n1")]
    assert (pool_of(agent, ready).start, pool_of(agent, ready).drain) == (0, ("o1",))
    half = [replace(old[0], draining=True), old[1], make_runner("n1")]
    assert (pool_of(agent, half).start, pool_of(agent, half).drain) == (1, ())
    last = [old[1], make_runner("n1"), make_runner("n2")]
    assert (pool_of(agent, last).start, pool_of(agent, last).drain) == (0, ("o2",))


def test_a_superseded_runner_that_never_became_ready_leaves_at_once():
    runners = [make_runner("o1", generation="old"), make_runner("b1", generation="broken", ready=False)]
    assert pool_of(make_agent(), runners).drain == ("b1",)


agents = st.builds(
    lambda low, more, spare, slots, surge: make_agent(
        min_runners=low, max_runners=low + more, spare=spare, slots=slots, max_surge=surge
    ),
    st.integers(0, 3),
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(1, 4),
    st.integers(1, 3),
)
demands = st.builds(
    lambda active, queued, suspects, alone: Demand(active + suspects, queued + alone, suspects + alone, alone),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 2),
    st.integers(0, 2),
)
states = st.lists(
    st.tuples(
        st.sampled_from(["new", "old", "older"]),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2),
        st.one_of(st.none(), st.floats(0, 1000)),
    ),
    max_size=10,
)


def build(pool):
    return [
        make_runner(
            f"r{n}",
            {f"r{n}-{i}": report() for i in range(load)},
            generation=generation,
            ready=ready,
            draining=draining,
            idle_since=None if load or idle is None else NOW - idle,
        )
        for n, (generation, ready, draining, load, idle) in enumerate(pool)
    ]


@settings(deadline=None)
@given(agents, demands, states)
def test_the_pool_keeps_its_bounds_and_what_is_available(agent, demand, pool):
    runners = build(pool)
    decision = pool_of(agent, runners, demand)
    live = {runner.name: runner for runner in runners if not runner.draining}
    kept = [runner for name, runner in live.items() if name not in decision.drain]

    assert agent.min_runners <= decision.wanted <= max(agent.min_runners, agent.max_runners)
    assert decision.start >= 0
    assert set(decision.drain) <= set(live)
    assert len(set(decision.drain)) == len(decision.drain)
    if decision.start:
        most = max(decision.wanted, agent.max_runners if demand.queued else 0)
        assert len(live) + decision.start <= most + agent.max_surge
    ready_before = sum(runner.ready for runner in live.values())
    assert sum(runner.ready for runner in kept) >= min(ready_before, decision.wanted)
    for name in decision.drain:
        runner = live[name]
        if runner.generation == agent.generation:
            assert runner.load == 0
            assert runner.idle_since is not None
            assert NOW - runner.idle_since >= agent.scale_down_delay_seconds


@settings(deadline=None)
@given(agents, demands, states)
def test_every_pool_settles_at_the_wanted_number_of_newest_runners(agent, demand, pool):
    runners = [
        replace(r, runs={}, slots=agent.slots, idle_since=r.idle_since or NOW) for r in build(pool) if not r.draining
    ]
    now = NOW
    for step in range(60):
        now += agent.scale_down_delay_seconds + 1
        decision = pool_of(agent, runners, demand, now)
        if not decision.start and not decision.drain and all(runner.ready for runner in runners):
            break
        stay = [replace(r, ready=True, idle_since=r.idle_since or NOW) for r in runners if r.name not in decision.drain]
        runners = stay + [make_runner(f"s{step}-{n}", ready=False) for n in range(decision.start)]
    else:
        pytest.fail("the pool never settled")
    assert len(runners) == wanted_runners(agent, demand)
    assert {runner.generation for runner in runners} <= {"new"}
