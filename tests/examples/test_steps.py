import asyncio
import json
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from examples.steps.checks import Effect, Told, checks
from examples.steps.demo import STEPS
from examples.steps.graph import build

REPEATED = frozenset({"fetch_shipping", "fetch_policy"})


@pytest.mark.parametrize(("approved", "steps"), [(True, STEPS), (False, [*STEPS[:9], "close"])])
async def test_the_refund_waits_for_approval_and_has_each_effect_once(tmp_path, approved, steps):
    graph = build().compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "one"}}
    log = tmp_path / "log"
    paused = await graph.ainvoke({"step_seconds": 0.01, "side_effects": str(log)}, config)
    assert [question.value["question"] for question in paused["__interrupt__"]] == ["Refund 42.00 EUR?"]
    done = await graph.ainvoke(Command(resume={"approved": approved}), config)
    effects = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(done["done"]) == sorted(steps)
    assert sorted(effect["step"] for effect in effects) == sorted(steps)
    assert len({effect["key"] for effect in effects}) == len(steps)


async def test_a_step_that_was_cut_short_has_its_effect_again_under_the_same_key(tmp_path):
    graph = build().compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "one"}}
    log = tmp_path / "log"
    run = asyncio.create_task(graph.ainvoke({"step_seconds": 0.1, "side_effects": str(log)}, config))
    async with asyncio.timeout(60):
        while not keys(log, "fetch_policy"):
            await asyncio.sleep(0.01)
    run.cancel()
    await asyncio.wait([run])
    await graph.ainvoke(None, config)
    assert len(keys(log, "fetch_policy")) == 2
    assert len(set(keys(log, "fetch_policy"))) == 1
    assert len(keys(log, "look_up")) == 1


def keys(log: Path, step: str) -> list[str]:
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line["key"] for line in lines if line["step"] == step]


def a_good_demo() -> tuple[Told, Told, list[Effect]]:
    waits_at = STEPS.index("approve")
    before = Told(ids=[(1, 1), (1, 2), (1, 2**32)], steps=STEPS[:waits_at], attempts=[1, 2], interrupts=1)
    before.in_flight, before.killed_pid = REPEATED, 10
    after = Told(ids=[(2, 1), (2, 2)], steps=STEPS[waits_at:], attempts=[1])
    effects = [Effect(step, f"{step}:key", 10, 0.0) for step in STEPS]
    effects += [Effect(step, f"{step}:key", 11, 1.0) for step in sorted(REPEATED)]
    return before, after, effects


def failed(before: Told, after: Told, effects: list[Effect]) -> int:
    return [holds for holds, _ in checks(before, after, effects, STEPS)].count(False)


def test_a_good_demo_passes_every_check():
    assert failed(*a_good_demo()) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda before, after, effects: before.steps.append("receive"),
        lambda before, after, effects: after.steps.remove("close"),
        lambda before, after, effects: before.ids.append((1, 2)),
        lambda before, after, effects: before.attempts.append(3),
        lambda before, after, effects: setattr(before, "interrupts", 0),
        lambda before, after, effects: effects.append(effects[0]),
        lambda before, after, effects: effects.pop(),
        lambda before, after, effects: effects.append(Effect("fetch_policy", "another", 11, 2.0)),
    ],
    ids=["told twice", "not told", "an old id", "a third attempt", "no pause", "done twice", "not redone", "a new key"],
)
def test_each_defect_fails_one_check(spoil):
    demo = a_good_demo()
    spoil(*demo)
    assert failed(*demo) == 1
