"""Runs that start later: accepted at once, in nobody's way, and started once at their time, whoever is there then."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from relayrun_core.database import Database
from relayrun_core.db.queue import unfinished_heads
from relayrun_core.db.retention import Keep, sweep_threads
from relayrun_core.db.runs import create_run, get_run, request_cancel, unfinished_runs
from relayrun_core.db.starting import LinedUp, due_later, line_up
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, PendingInterrupt, Run, RunSpec
from relayrun_core.states import CancelAction, RunStatus
from tests.api.cluster import Cluster
from tests.api.conftest import Api
from tests.api.play import STEPS, Attempt, register
from tests.api.process import api_process
from tests.api.test_refusals import check_problem
from tests.support.runs import reread
from tests.support.waiting import eventually

RUN: dict[str, Any] = {"assistant_id": "steps", "input": {}}
HOUR = 3600
QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")


@pytest.fixture
async def database(database_url: str) -> Any:
    async with Database.open(database_url, role="api") as database:
        yield database


async def delayed(database: Database, seconds: float, *, thread: UUID | None = None, **spec: Any) -> Run:
    new = NewRun(new_run_id(), thread or uuid4(), "default", "steps", RunSpec(**spec), delay_seconds=seconds)
    await create_run(database, new)
    return await reread(database, new.run_id)


async def now_due(database: Database, run: Run) -> None:
    await database.execute("UPDATE runs SET created_at = now() WHERE run_id = %s", (run.run_id,))


async def queue(database: Database) -> list[UUID]:
    """What is placed, in the order of the database."""
    return [head.run_id for head in await unfinished_heads(database)]


async def test_a_delayed_run_is_accepted_at_once_and_starts_at_its_time(api: Api) -> None:
    late = await api.sdk.runs.create(None, "steps", input={}, after_seconds=HOUR)
    assert late["status"] == "pending"
    assert (await api.sdk.threads.get(late["thread_id"]))["status"] == "busy"
    listed = await api.sdk.runs.list(late["thread_id"], status="pending")
    assert [found["run_id"] for found in listed] == [late["run_id"]]

    began = time.monotonic()
    run = await api.sdk.runs.create(None, "steps", input={}, after_seconds=1)
    assert await eventually(lambda: queue(api.database)) == [UUID(run["run_id"])]
    assert 1 <= time.monotonic() - began < 5
    assert (await api.sdk.threads.get(run["thread_id"]))["status"] == "busy"
    await (await Attempt.begin(api.database, run["run_id"])).succeed({"steps": [1]})
    assert await api.sdk.runs.join(run["thread_id"], run["run_id"]) == {"steps": [1]}


async def test_a_stream_of_a_delayed_run_waits_for_it(api: Api) -> None:
    async def read() -> list[str]:
        stream = api.sdk.runs.stream(None, "steps", input={}, after_seconds=1)
        return [part.event async for part in stream]

    reading = asyncio.create_task(read())
    await eventually(lambda: queue(api.database))
    await (await Attempt.begin(api.database, (await queue(api.database))[0])).succeed()
    assert await reading == ["metadata"]


async def test_it_blocks_nobody_and_goes_behind_who_came_before_its_time(database: Database) -> None:
    """Between its acceptance and its time another run of the thread is accepted: that one goes first."""
    late = await delayed(database, HOUR)
    await create_run(database, NewRun(new_run_id(), late.thread_id, "default", "steps", RunSpec()))
    other = (await unfinished_runs(database))[0]
    assert (late.number, other.number) == (0, 1)
    await now_due(database, late)
    assert await line_up(database, late.run_id) is LinedUp.LINED_UP
    assert await queue(database) == [other.run_id, late.run_id]
    lined_up = await reread(database, late.run_id)
    assert (lined_up.status, lined_up.number) == (RunStatus.PENDING, 2)
    await (await Attempt.begin(database, other.run_id)).succeed()
    await Attempt.begin(database, late.run_id)


async def test_runs_of_one_thread_start_in_the_order_of_their_times(database: Database) -> None:
    second = await delayed(database, HOUR)
    first = await delayed(database, 1, thread=second.thread_id)
    third = await delayed(database, 2 * HOUR, thread=second.thread_id)
    assert [run_id for run_id, _ in await due_later(database, 3 * HOUR)] == [first.run_id, second.run_id, third.run_id]
    assert [run_id for run_id, _ in await due_later(database, 60)] == [first.run_id]


async def test_a_run_that_cannot_be_started_holds_up_no_other(api: Api, database: Database) -> None:
    broken, other = await delayed(database, HOUR), await delayed(database, HOUR)
    await database.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
    await database.execute(
        f"CREATE TRIGGER refuse BEFORE UPDATE OF status ON runs FOR EACH ROW WHEN (OLD.run_id = '{broken.run_id}')"
        " EXECUTE FUNCTION refuse()"
    )
    for run in (broken, other):
        await now_due(database, run)
    await eventually(lambda: queue(database))
    assert await queue(database) == [other.run_id]
    assert (await reread(database, broken.run_id)).status is RunStatus.DELAYED


async def test_before_its_time_it_is_not_lined_up_and_at_its_time_once(database: Database) -> None:
    run = await delayed(database, HOUR)
    assert await line_up(database, run.run_id) is LinedUp.NOT_YET
    assert await line_up(database, uuid4()) is LinedUp.NOT_YET
    await now_due(database, run)
    answers = await asyncio.gather(*(line_up(database, run.run_id) for _ in range(6)))
    assert sorted(answers) == [LinedUp.LINED_UP, *[LinedUp.NOT_YET] * 5]
    assert (await reread(database, run.run_id)).number == 1


async def test_the_time_in_the_queue_counts_from_its_time(database: Database) -> None:
    run = await delayed(database, HOUR, starting_deadline_seconds=10)
    assert (run.created_at - run.updated_at).total_seconds() == pytest.approx(HOUR, abs=1)
    await now_due(database, run)
    await line_up(database, run.run_id)
    head = (await unfinished_heads(database))[0]
    assert head.starting_deadline == pytest.approx(time.time() + 10, abs=2)


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_later_request_displaces_it(api: Api, strategy: str) -> None:
    """How clients wait for a quiet moment: each request takes the place of the one before."""
    thread = (await api.sdk.threads.create())["thread_id"]
    first = await api.sdk.runs.create(thread, "steps", input={}, after_seconds=HOUR)
    again: dict[str, Any] = {"input": {}, "multitask_strategy": strategy}
    second = await api.sdk.runs.create(thread, "steps", **again, after_seconds=HOUR)

    async def displaced(run: Any) -> bool:
        found = await api.http.get(f"/threads/{thread}/runs/{run['run_id']}")
        if strategy == "rollback":
            return found.status_code == 404
        return str(found.json()["status"]) == "interrupted"

    await eventually(lambda: displaced(first))
    assert (await api.sdk.runs.get(thread, second["run_id"]))["status"] == "pending"
    third = await api.sdk.runs.create(thread, "steps", **again)
    await eventually(lambda: displaced(second))
    assert await queue(api.database) == [UUID(third["run_id"])]


async def test_a_running_run_is_displaced_when_a_delayed_one_is_accepted(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    await Attempt.begin(api.database, run["run_id"])
    more = {"multitask_strategy": "interrupt", "after_seconds": HOUR}
    assert (await api.http.post(f"/threads/{run['thread_id']}/runs", json={**RUN, **more})).status_code == 200
    assert (await reread(api.database, UUID(run["run_id"]))).cancel_requested_at is not None


async def test_a_thread_with_a_delayed_run_is_not_free_for_who_rejects(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, after_seconds=HOUR)
    path = f"/threads/{run['thread_id']}/runs"
    refused = await api.http.post(path, json={**RUN, "multitask_strategy": "reject"})
    check_problem(refused, 409, "thread_busy")


async def test_it_ends_at_once_when_it_is_cancelled_and_can_be_forgotten_then(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, after_seconds=HOUR)
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
    await api.sdk.runs.cancel(run["thread_id"], run["run_id"], wait=True)
    found = (await api.http.get(path)).json()
    assert (found["status"], found["reason"], found["attempt"]) == ("interrupted", "Cancelled", 1)
    assert (await api.sdk.threads.get(run["thread_id"]))["status"] == "idle"
    assert await due_later(api.database, 2 * HOUR) == []
    assert (await api.http.delete(path)).status_code == 204


async def test_it_is_cancelled_and_forgotten_at_once(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, after_seconds=HOUR)
    await api.sdk.runs.delete(run["thread_id"], run["run_id"])
    assert await get_run(api.database, UUID(run["run_id"])) is None
    assert await due_later(api.database, 2 * HOUR) == []
    assert (await api.sdk.threads.get(run["thread_id"]))["status"] == "idle"


async def test_bulk_cancels_know_it_as_pending(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, after_seconds=HOUR)
    check_problem(await api.http.post("/runs/cancel", json={"status": "running"}), 404, "run_not_found")
    await api.sdk.runs.cancel_many(status="pending")
    assert (await api.sdk.runs.get(run["thread_id"], run["run_id"]))["status"] == "interrupted"


async def test_a_question_can_be_answered_while_a_run_is_delayed(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    thread = run["thread_id"]
    await (await Attempt.begin(api.database, run["run_id"])).pause({"steps": []}, QUESTION)
    await api.sdk.runs.create(thread, "steps", input={}, after_seconds=HOUR)
    waiting = await api.sdk.threads.get(thread)
    assert (waiting["status"], list(waiting["interrupts"])) == ("busy", [QUESTION.task_id])
    resumed = await api.sdk.runs.create(thread, "steps", command={"resume": "yes"})
    await (await Attempt.begin(api.database, resumed["run_id"])).succeed()
    answered = await api.sdk.threads.get(thread)
    assert (answered["status"], answered["interrupts"]) == ("busy", {}), "the delayed run is still to come"


async def test_a_thread_goes_with_its_delayed_runs_when_asked_and_not_by_itself(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, after_seconds=HOUR)
    await api.database.execute("UPDATE threads SET ttl_minutes = 1, updated_at = now() - interval '1 day'")
    assert await sweep_threads(api.database, Keep(temporary=timedelta(0))) == 0
    await api.sdk.threads.delete(run["thread_id"])
    assert await get_run(api.database, UUID(run["run_id"])) is None


@pytest.mark.parametrize("seconds", [-1, -0.001, 0])
async def test_a_run_whose_time_has_come_waits_for_nothing(shared: Api, seconds: float) -> None:
    answered = await shared.http.post("/runs", json=RUN | {"after_seconds": seconds})
    run = await get_run(shared.database, UUID(answered.json()["run_id"]))
    assert run is not None
    assert run.status is RunStatus.PENDING


@pytest.mark.parametrize("seconds", [1e308, "5", True, [1]])
async def test_a_delay_that_is_none_is_refused(shared: Api, seconds: Any) -> None:
    refused = await shared.http.post("/runs", json={**RUN, "after_seconds": seconds})
    problem = check_problem(refused, 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "#/after_seconds"


@pytest.mark.parametrize("seconds", [None, 0, 0.0])
async def test_no_delay_is_at_once(api: Api, seconds: float | None) -> None:
    await api.http.post("/runs", json={**RUN, "after_seconds": seconds})
    assert len(await queue(api.database)) == 1


async def test_an_answer_is_not_given_later(shared: Api) -> None:
    body = {"assistant_id": "steps", "command": {"resume": "yes"}, "after_seconds": 1}
    check_problem(await shared.http.post("/runs", json=body), 422, "invalid_request")


async def test_a_cancel_between_flag_and_end_is_carried_out_by_who_lines_up(database: Database) -> None:
    """As a crash leaves it: a later run has displaced it, and nobody has ended it yet."""
    run = await delayed(database, HOUR)
    await delayed(database, HOUR, thread=run.thread_id, multitask_strategy="interrupt")
    assert [run_id for run_id, _ in await due_later(database, 1)] == [run.run_id]
    assert await line_up(database, run.run_id) is LinedUp.CANCELLED
    assert (await reread(database, run.run_id)).status is RunStatus.CANCELLED
    with pytest.raises(Exception, match="ended already"):
        await request_cancel(database, run.run_id, CancelAction.INTERRUPT)


async def test_in_a_cluster_it_has_no_agentrun_before_its_time(cluster: Cluster, clustered: Api) -> None:
    late = await clustered.sdk.runs.create(None, "steps", input={}, after_seconds=HOUR)
    # The reconciler has looked when this one, whose first look it waits for, has an AgentRun.
    await clustered.database.execute("UPDATE runs SET look_after = now() - interval '1 s'")
    soon = await clustered.sdk.runs.create(None, "steps", input={}, after_seconds=1)

    async def made() -> set[str]:
        return {found["spec"]["runId"] for found in cluster.runs.values()}

    assert await eventually(made) == {soon["run_id"]}
    assert (await reread(clustered.database, UUID(late["run_id"]))).status is RunStatus.DELAYED


@pytest.mark.crash
async def test_it_starts_though_the_process_that_accepted_it_is_killed(database: Database, database_url: str) -> None:
    await register(database, "steps", STEPS)
    async with api_process(database_url) as first, httpx.AsyncClient(base_url=first.url) as http:
        run = (await http.post("/runs", json={**RUN, "after_seconds": HOUR})).raise_for_status().json()
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
    assert await queue(database) == []
    await now_due(database, await reread(database, UUID(run["run_id"])))
    async with api_process(database_url):
        await eventually(lambda: queue(database))
    assert await queue(database) == [UUID(run["run_id"])]
