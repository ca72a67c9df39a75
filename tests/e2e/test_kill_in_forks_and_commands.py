"""kill -9 of a runner in a fork from an older checkpoint, and in a run that began with a command."""

from typing import Any

import pytest

from relayrun_core.runs import Run
from relayrun_core.states import Reason
from relayrun_runner.attempt.checkpoints import NULL_TASK_ID
from tests.support.crash import Crash, whole
from tests.support.waiting import until
from tests.support.witness import Note

pytestmark = pytest.mark.crash

CHECKPOINTS = """
SELECT checkpoint_id, metadata ->> 'step' AS step FROM checkpoints
WHERE thread_id = %s AND checkpoint_ns = '' ORDER BY checkpoint_id"""

CHECKPOINTS_BELOW = """
SELECT checkpoint_ns AS ns, checkpoint_id AS id, metadata ->> 'step' AS step, metadata -> 'parents' ->> '' AS around
FROM checkpoints WHERE thread_id = %s AND checkpoint_ns <> '' ORDER BY checkpoint_id"""

COMMANDS: list[dict[str, Any]] = [
    {"resume": "yes", "update": {"total": 5}},
    {"update": {"total": 5}, "goto": "act"},
]


async def checkpoint_after(crash: Crash, run: Run, step: int) -> str:
    rows = await crash.database.fetch_all(CHECKPOINTS, (str(run.thread_id),))
    return next(row["checkpoint_id"] for row in rows if row["step"] == str(step))


@pytest.mark.parametrize(
    ("point", "nth", "begun"),
    [
        ("after-claim", 1, ["c", "d"]),
        ("in-c", 1, ["c", "c", "d"]),
        ("after-checkpoint", 2, ["c", "d"]),  # the first one marks the fork, and c begins beside it
        ("in-d", 1, ["c", "d", "d"]),
        ("before-finish", 1, ["c", "d"]),
    ],
)
async def test_a_fork_from_an_older_checkpoint_goes_on_from_its_own_last_step(
    crash: Crash, point: str, nth: int, begun: list[str]
) -> None:
    first = await crash.accept("line")
    assert (await crash.finish(first)).reason is Reason.SUCCEEDED
    older = await checkpoint_after(crash, first, 2)  # a is step 1, b is step 2
    run = await crash.accept("line", thread=first.thread_id, input=None, checkpoint_id=older)
    crash.bomb(run, point, nth=nth)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.SUCCEEDED
    assert crash.begun(run) == begun
    assert (await crash.thread(run)).values == {"done": ["a", "b", "c", "d"]}
    whole(await crash.journal(run), attempts=ended.attempt)


@pytest.mark.parametrize("graph", ["nested", "keeps"])
@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("after-claim", 1),
        ("after-checkpoint", 1),  # marks the fork, before the subgraph has a checkpoint of this run
        ("after-inner-checkpoint", 1),
        ("in-two", 1),
        ("after-inner-checkpoint", 2),
        ("in-last", 1),
        ("before-finish", 1),
    ],
)
async def test_a_run_from_a_subgraphs_checkpoint_goes_on_from_its_own_last_step(
    crash: Crash, graph: str, point: str, nth: int
) -> None:
    first = await crash.accept(graph)
    assert (await crash.finish(first)).reason is Reason.SUCCEEDED
    rows = await crash.database.fetch_all(CHECKPOINTS_BELOW, (str(first.thread_id),))
    # Behind `one`, which is step 1 in there.
    namespace, below, around = next((row["ns"], row["id"], row["around"]) for row in rows if row["step"] == "1")
    quiet = await crash.accept(graph, thread=first.thread_id, **at(around, namespace, below))
    assert (await crash.finish(quiet)).reason is Reason.SUCCEEDED
    wanted, values = crash.begun(quiet), (await crash.thread(quiet)).values
    # As LangGraph has it: only a subgraph that keeps its state goes on in its middle.
    assert wanted == (["one", "two", "three", "last"] if graph == "nested" else ["two", "three", "last"])
    run = await crash.accept(graph, thread=first.thread_id, **at(around, namespace, below))
    crash.bomb(run, point, nth=nth)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.SUCCEEDED
    assert set(crash.begun(run)) == set(wanted)
    crash.nothing_repeated(run)
    assert (await crash.thread(run)).values == values
    whole(await crash.journal(run), attempts=ended.attempt)


def at(around: str, namespace: str, below: str) -> dict[str, Any]:
    return {"input": None, "checkpoint_id": around, "checkpoint_map": {"": around, namespace: below}}


@pytest.mark.parametrize(("point", "nth"), [("before-checkpoint", 1), ("after-checkpoint", 3)])
async def test_new_input_on_an_older_checkpoint_is_applied_once(crash: Crash, point: str, nth: int) -> None:
    first = await crash.accept("line")
    assert (await crash.finish(first)).reason is Reason.SUCCEEDED
    older = await checkpoint_after(crash, first, 2)
    run = await crash.accept("line", thread=first.thread_id, input={"done": ["new"]}, checkpoint_id=older)
    crash.bomb(run, point, nth=nth)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.SUCCEEDED
    assert (await crash.thread(run)).values == {"done": ["a", "b", "new", "a", "b", "c", "d"]}
    crash.nothing_repeated(run)


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("before-checkpoint", 1),
        ("after-writes", 1),
        ("in-ask told", 1),
        ("after-checkpoint", 1),
        ("before-finish", 1),
    ],
)
async def test_a_command_with_an_answer_and_an_update_applies_both_exactly_once(
    crash: Crash, point: str, nth: int
) -> None:
    first = await crash.accept("tally", input={"total": 1})
    assert (await crash.finish(first)).reason is Reason.WAITING_FOR_INPUT
    command = {"resume": "yes", "update": {"total": 5}}
    run = await crash.accept("tally", thread=first.thread_id, command=command)
    crash.bomb(run, point, nth=nth)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.SUCCEEDED
    assert (await crash.thread(run)).values == {"done": ["plan", "act"], "answers": ["ok? yes"], "total": 6}
    crash.nothing_repeated(run)


@pytest.mark.parametrize(
    ("point", "nth"), [("after-writes", 1), ("before-checkpoint", 1), ("after-checkpoint", 1), ("in-act", 1)]
)
async def test_a_command_that_updates_and_jumps_applies_both_exactly_once(crash: Crash, point: str, nth: int) -> None:
    first = await crash.accept("tally", input={"total": 1})
    assert (await crash.finish(first)).reason is Reason.WAITING_FOR_INPUT
    answered = await crash.accept("tally", thread=first.thread_id, command={"resume": "yes"})
    assert (await crash.finish(answered)).reason is Reason.SUCCEEDED
    run = await crash.accept("tally", thread=first.thread_id, command={"update": {"total": 5}, "goto": "act"})
    crash.bomb(run, point, nth=nth)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.SUCCEEDED
    values = (await crash.thread(run)).values
    assert (values["total"], values["done"]) == (6, ["plan", "act", "act"])
    crash.nothing_repeated(run)


@pytest.mark.parametrize("command", COMMANDS, ids=["answer and update", "update and jump"])
async def test_a_command_that_was_saved_before_its_first_step_ended_is_not_applied_again(
    crash: Crash, command: dict[str, Any]
) -> None:
    first = await crash.accept("tally", input={"total": 1})
    assert (await crash.finish(first)).reason is Reason.WAITING_FOR_INPUT
    if "goto" in command:
        answered = await crash.accept("tally", thread=first.thread_id, command={"resume": "yes"})
        assert (await crash.finish(answered)).reason is Reason.SUCCEEDED
    run = await crash.accept("tally", thread=first.thread_id, command=command)
    step = "act" if "goto" in command else "ask told"
    crash.hold(run, step)
    runner = await crash.start(run)
    await until(lambda: any(is_of_command(note, run) for note in crash.notes(run)))
    await crash.until_in(run, step)
    runner.kill()
    crash.let_go(run, step)
    ended = await crash.finish(run)
    # A command's own write is no progress: the second number was answered with the back-off, and the third had it.
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 3)
    assert (await crash.thread(run)).values["total"] == 6
    assert crash.begun(run)[:2] == [step, step]


def is_of_command(note: Note, run: Run) -> bool:
    return note.what == "saved" and note.run == str(run.run_id) and note.task == NULL_TASK_ID
