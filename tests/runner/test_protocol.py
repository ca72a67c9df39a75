"""The protocol of a real runner process on a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

from relayrun_core.database import Database
from relayrun_core.db.runs import get_run, request_cancel
from relayrun_core.db.threads import create_thread, get_thread, thread_id_of
from relayrun_core.runs import RunSpec
from relayrun_core.states import CancelAction, RunStatus
from tests.runner.processes import RunnerProcess
from tests.runner.runs import accepted


async def test_a_run_is_claimed_before_the_answer_and_finishes(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    run_id = await accepted(shared_database, input={"did": ["in"]})
    answer = await shared_runner.put(run_id)
    assert (answer.status_code, answer.json()["run_id"], answer.json()["attempt"]) == (202, str(run_id), 1)
    entry = await shared_runner.wait_state(run_id, "Finished")
    assert (entry["outcome"]["status"], entry["outcome"]["reason"]) == ("success", "Succeeded")
    run = await get_run(shared_database, run_id)
    assert run is not None
    assert (run.status, run.attempt) == (RunStatus.SUCCESS, 1)
    again = await shared_runner.put(run_id)
    assert (again.status_code, again.json()["outcome"]["status"]) == (200, "success")


async def test_an_agentrun_from_a_checkpoint_that_its_thread_has_not_is_invalid(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id, wanted = uuid4(), str(uuid4())
    first = await accepted(shared_database, thread_id=thread_id, input={"did": ["in"]})
    await shared_runner.put(first)
    await shared_runner.wait_state(first, "Finished")
    spec = RunSpec(input={"did": ["again"]}, checkpoint_id=wanted).model_dump(mode="json")
    made = {"namespace": "team", "name": "again", "uid": "uid"}
    create = {"thread_id": str(thread_id), "agent": "default", "spec": spec, "object": made}
    answer = await shared_runner.put(uuid4(), graph="steps", create=create)
    assert (answer.status_code, answer.json()["reason"]) == (409, "Invalid")
    assert wanted in answer.json()["message"]
    thread = await get_thread(shared_database, thread_id)
    assert thread is not None
    assert "again" not in thread.values["did"]


async def test_everything_but_probes_needs_the_token(shared_runner: RunnerProcess) -> None:
    stranger = {"Authorization": "Bearer wrong"}
    for method, path in [("PUT", f"/runs/{uuid4()}"), ("GET", "/runs"), ("GET", f"/threads/{uuid4()}/state")]:
        answer = await shared_runner.client.request(method, path, headers=stranger, json={"attempt": 1})
        assert answer.status_code == 401, path
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await shared_runner.client.get(path, headers=stranger)).status_code == 200, path
    assert "reasons" not in (await shared_runner.client.get("/readyz", headers=stranger)).json()


async def test_the_same_attempt_told_twice_at_once_runs_once(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run_id = await accepted(shared_database, input={"gate": str(gate)})
    answers = await asyncio.gather(*(shared_runner.put(run_id) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [202] * 5
    gate.touch()
    await shared_runner.wait_state(run_id, "Finished")
    thread = await shared_database.fetch_one(
        "SELECT values FROM threads t JOIN runs r USING (thread_id) WHERE run_id = %s", (run_id,)
    )
    assert thread is not None
    assert thread["values"]["did"] == ["first", "wait", "last"]


async def test_all_who_ask_at_once_hear_what_the_one_claim_said(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    gate, thread = tmp_path / "gate", uuid4()
    older = await accepted(shared_database, thread_id=thread, input={"gate": str(gate)})
    newer = await accepted(shared_database, thread_id=thread, input={})
    await shared_runner.put(older)
    answers = await asyncio.gather(*(shared_runner.put(newer) for _ in range(5)))
    assert [answer.json() for answer in answers] == [{"reason": "ThreadBusy", "by": str(older)}] * 5
    gate.touch()
    await shared_runner.wait_state(older, "Finished")


async def test_it_says_why_it_takes_no_run(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    waiting = {"gate": str(gate)}
    running = [await accepted(shared_database, input=waiting) for _ in range(4)]
    for run_id in running:
        assert (await shared_runner.put(run_id)).status_code == 202
    another = await accepted(shared_database, input=waiting)
    full = await shared_runner.put(another)
    assert (full.status_code, full.json()) == (409, {"reason": "Full"})
    gate.touch()
    for run_id in running:
        await shared_runner.wait_state(run_id, "Finished")

    foreign = await accepted(shared_database, "of another agent")
    assert (await shared_runner.put(foreign)).json() == {"reason": "UnknownGraph", "graph": "of another agent"}
    assert (await shared_runner.put(uuid4())).status_code == 404
    invalid = await shared_runner.client.put(f"/runs/{another}", json={"attempt": 0})
    assert (invalid.status_code, invalid.json()["reason"]) == (400, "Invalid")


async def test_a_busy_thread_and_a_stale_attempt_are_told_apart(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    gate, thread = tmp_path / "gate", uuid4()
    older = await accepted(shared_database, thread_id=thread, input={"gate": str(gate)})
    newer = await accepted(shared_database, thread_id=thread, input={})
    assert (await shared_runner.put(older, 3)).status_code == 202
    assert (await shared_runner.put(newer)).json() == {"reason": "ThreadBusy", "by": str(older)}
    assert (await shared_runner.put(older, 2)).json() == {"reason": "Stale", "attempt": 3}
    gate.touch()
    await shared_runner.wait_state(older, "Finished")


async def test_a_cancel_stops_the_run_and_only_that_attempt(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    run_id = await accepted(shared_database, input={"gate": str(tmp_path / "never")})
    await shared_runner.put(run_id)
    assert (await shared_runner.delete(run_id, attempt=2)).status_code == 404
    assert (await shared_runner.delete(uuid4())).status_code == 404
    await request_cancel(shared_database, run_id, CancelAction.INTERRUPT)
    assert (await shared_runner.delete(run_id)).status_code == 202
    entry = await shared_runner.wait_state(run_id, "Finished")
    assert (entry["outcome"]["status"], entry["outcome"]["reason"]) == ("cancelled", "Cancelled")


async def test_an_abandoned_run_leaves_its_row_alone(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    run_id = await accepted(shared_database, input={"gate": str(tmp_path / "never")})
    await shared_runner.put(run_id)
    assert (await shared_runner.delete(run_id, action="abandon")).status_code == 202
    await shared_runner.wait_state(run_id, "Abandoned")
    run = await get_run(shared_database, run_id)
    assert run is not None
    assert run.status is RunStatus.RUNNING


async def test_a_newer_attempt_on_the_same_runner_takes_over_from_the_older(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run_id = await accepted(shared_database, input={"gate": str(gate)})
    await shared_runner.put(run_id, 1)
    told = "SELECT count(*) AS n FROM run_events WHERE run_id = %s AND event = 'values'"
    async with asyncio.timeout(60):
        while (await shared_database.fetch_one(told, (run_id,)) or {})["n"] < 2:
            await asyncio.sleep(0.02)

    async def becomes(wanted: dict[int, str]) -> None:
        async with asyncio.timeout(60):
            while True:
                entries = (await shared_runner.client.get("/runs")).json()["runs"]
                if wanted == {e["attempt"]: e["state"] for e in entries if e["run_id"] == str(run_id)}:
                    return
                await asyncio.sleep(0.02)

    assert (await shared_runner.put(run_id, 2, excused=True)).status_code == 202
    await becomes({1: "Abandoned", 2: "Running"})  # although the older one still waits, and writes nothing
    gate.touch()
    await becomes({1: "Abandoned", 2: "Finished"})


async def test_the_watch_stream_begins_with_the_list_and_tells_every_change(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run_id = await accepted(shared_database, input={"gate": str(gate)})
    lines = shared_runner.watch()
    first = await anext(lines)
    assert (first["type"], first["draining"], first["slots"]) == ("list", False, 4)
    assert first["graphs"] == ["steps", "asking", "stuck"]
    await shared_runner.put(run_id)
    seen: list[str] = []
    beats = 0
    async for line in lines:
        if line["type"] == "heartbeat":
            beats += 1
            gate.touch()
            continue
        assert line["run_id"] == str(run_id)
        seen.append(line["state"])
        if line["state"] == "Finished":
            assert (line["outcome"]["status"], line["outcome"]["reason"]) == ("success", "Succeeded")
            break
    await lines.aclose()
    assert seen == ["Running", "Finished"]
    assert beats >= 1
    second = shared_runner.watch()
    listed = await anext(second)
    await second.aclose()
    assert [entry["state"] for entry in listed["runs"] if entry["run_id"] == str(run_id)] == ["Finished"]
    assert listed["holder"] == first["holder"]


async def test_metrics_count_runs_by_outcome_and_never_name_one(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    async def samples() -> dict[str, float]:
        text = (await shared_runner.client.get("/metrics")).text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    before = await samples()
    run_id = await accepted(shared_database, input={})
    await shared_runner.put(run_id)
    await shared_runner.wait_state(run_id, "Finished")
    after = await samples()
    for name in (
        'relayrun_runs_total{agent="default",outcome="success"}',
        'relayrun_run_attempts_total{agent="default",reason="first"}',
        'relayrun_run_duration_seconds_count{agent="default"}',
    ):
        assert after[name] - before.get(name, 0) == 1, name
    assert after['relayrun_slots{agent="default"}'] == 4
    assert 'relayrun_loop_lag_seconds{agent="default"}' in after
    assert not any(str(run_id) in name for name in after)


async def test_a_claim_survives_that_every_connection_was_cut(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    run_id = await accepted(shared_database, input={})
    await shared_database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert (await shared_runner.put(run_id, graph="steps")).status_code == 202
    await shared_runner.wait_state(run_id, "Finished")


async def test_what_a_name_means_is_the_runners_to_say(shared_runner: RunnerProcess, shared_database: Database) -> None:
    """The world has no database: its id of a named thread is one that anybody can work out."""
    name, taken = f"name-{uuid4()}", uuid4()
    await create_thread(shared_database, taken, owner="mallory")
    spec = RunSpec(input={"did": ["in"]}).model_dump(mode="json")
    create = {"thread_id": str(taken), "thread_name": name, "owner": "alice", "agent": "default", "spec": spec}
    threads = []
    for _ in range(2):
        run_id = uuid4()
        body = {"attempt": 1, "graph": "steps", "create": create}
        answer = await shared_runner.client.put(f"/runs/{run_id}", json=body)
        assert answer.status_code == 202, answer.text
        entry = await shared_runner.wait_state(run_id, "Finished")
        again = (await shared_runner.client.put(f"/runs/{run_id}", json=body)).json()
        assert answer.json()["thread_id"] == entry["thread_id"] == again["thread_id"]
        threads.append(UUID(entry["thread_id"]))
    assert threads == [await thread_id_of(shared_database, "alice", name)] * 2
    assert taken not in threads
    # An id is itself, and no name.
    for owner, status in (("mallory", 202), ("alice", 409)):
        body = {"attempt": 1, "graph": "steps", "create": {**create, "thread_name": str(taken), "owner": owner}}
        run_id = uuid4()
        answer = await shared_runner.client.put(f"/runs/{run_id}", json=body)
        assert answer.status_code == status, answer.text
        if status == 202:
            await shared_runner.wait_state(run_id, "Finished")
    thread = await get_thread(shared_database, taken)
    assert thread is not None
    assert thread.name is None
