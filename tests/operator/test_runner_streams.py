"""The watch stream and the calls beside it, against a real server that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from relayrun_core.runner_protocol import (
    STARTING,
    AssignRequest,
    AttemptState,
    HeartbeatLine,
    ListLine,
    OutcomeBody,
    ReadinessBody,
    RunLine,
    RunReport,
    Trouble,
)
from relayrun_core.states import RunStatus
from relayrun_operator.local.runner import LocalListener, LocalRunner
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import RunnerClient
from relayrun_operator.loop.transport import OneToken, RunnerUnreachable, Transport
from relayrun_operator.loop.watch import watch_runner
from relayrun_operator.loop.workqueue import WorkQueue
from tests.operator.build import told
from tests.operator.scripted import ACCEPTED, SILENCE, TOKEN, Answer, ScriptedRunner
from tests.operator.test_answers import head
from tests.support.waiting import until

TAKE_IT = AssignRequest(attempt=1, graph="g")


def not_ready(*reasons: Trouble) -> Answer:
    return 503, ReadinessBody(ready=False, reasons=list(reasons)).model_dump()


class Watched:
    """A scripted runner that is being watched."""

    def __init__(self, scripted: ScriptedRunner) -> None:
        self.scripted = scripted
        self.cache = Cache(WorkQueue(lambda: None), asyncio.get_running_loop().time)
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.hints: list[str] = []
        process = cast("Any", SimpleNamespace(exited=self.exited))
        self.runner: LocalRunner = scripted.as_runner(process=process, ready=False, holder=None)
        self.cache.runners["r1"] = self.runner
        listener = LocalListener(self.hints.append, lambda: None)
        self.task = asyncio.create_task(watch_runner(self.runner, self.cache, listener, self.exited))

    def introduce(self, *runs: RunReport, **fields: Any) -> None:
        known = {"holder": "h", "runner": "r1", "slots": 3, "graphs": ["steps"], "runs": list(runs)}
        self.scripted.say(ListLine(**known | fields))


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with ScriptedRunner().serving() as scripted:
        scripted.answers = [ReadinessBody(ready=True)]
        watched = Watched(scripted)
        yield watched
        watched.exited.set_result(0)
        watched.task.cancel()
        await asyncio.gather(watched.task, return_exceptions=True)
        watched.runner.client.close()


async def test_a_runner_is_ready_only_when_it_says_so_and_its_troubles_are_told():
    async with ScriptedRunner().serving() as scripted:
        starting = not_ready(Trouble(subject=STARTING, message="the graphs are being loaded"))
        failing = not_ready(Trouble(subject="graph x", message="it fails", traceback="Trace\nback"))
        scripted.answers = [starting, failing]
        watched = Watched(scripted)
        await until(lambda: watched.runner.troubles == ("it fails\nTrace\nback",))
        assert not watched.runner.ready
        away = Trouble(subject="database", message="the database does not answer", waiting=True)
        scripted.answers = [not_ready(away)]
        await until(lambda: watched.runner.waits_for == ("the database does not answer",))
        assert watched.runner.troubles == ()
        scripted.answers = [ReadinessBody(ready=True)]
        watched.introduce()
        await until(lambda: watched.runner.ready)
        assert (watched.runner.troubles, watched.runner.waits_for) == ((), ())
        assert (watched.runner.holder, watched.runner.slots) == ("h", 3)
        assert watched.runner.graphs == {"steps"}
        watched.exited.set_result(0)
        watched.task.cancel()
        await asyncio.gather(watched.task, return_exceptions=True)
        watched.runner.client.close()


async def test_what_the_stream_says_is_remembered_and_unknown_runs_are_looked_up(watched: Watched):
    known, unknown = head(), str(uuid4())
    watched.cache.see_row(known)
    watched.introduce(told(unknown, 2, AttemptState.RUNNING))
    await until(lambda: watched.hints == [unknown])
    watched.scripted.say(RunLine(run_id=str(known.run_id), attempt=1, state=AttemptState.RUNNING))
    await until(lambda: str(known.run_id) in watched.runner.reports)
    assert watched.runner.reports[str(known.run_id)].state is AttemptState.RUNNING
    outcome = OutcomeBody(status=RunStatus.SUCCESS)
    watched.scripted.say(RunLine(run_id=str(known.run_id), attempt=1, state=AttemptState.FINISHED, outcome=outcome))
    await until(lambda: str(known.run_id) not in watched.cache.runs)
    assert watched.cache.ended == {"success": 1}


async def test_a_heartbeat_tells_that_the_runner_drains(watched: Watched):
    watched.introduce()
    watched.scripted.say(HeartbeatLine(lag_ms=3.5, draining=True))
    await until(lambda: watched.runner.draining)
    assert watched.runner.lag_ms == 3.5


async def test_a_broken_stream_is_opened_again_and_the_list_is_believed(watched: Watched):
    row = head()
    watched.cache.see_row(row)
    watched.introduce(told(row.run_id, 1, AttemptState.RUNNING))
    await until(lambda: str(row.run_id) in watched.runner.reports)
    watched.scripted.break_stream()
    watched.introduce(holder="another process")
    await until(lambda: watched.runner.holder == "another process")
    assert watched.runner.reports == {}


async def test_lines_of_a_kind_that_is_not_known_yet_are_passed_over(watched: Watched):
    watched.scripted.say({"type": "weather", "sunny": True})
    watched.scripted.say({"type": "run", "run_id": "x", "attempt": 1, "state": "Dreaming"})
    watched.introduce()
    await until(lambda: watched.runner.ready)


async def test_a_call_to_nobody_fails_with_a_sentence_that_names_the_call():
    async with ScriptedRunner().serving() as scripted:
        port = scripted.port
    client = RunnerClient("127.0.0.1", port, TOKEN)
    with pytest.raises(RunnerUnreachable, match=f"PUT http://127.0.0.1:{port}/runs/x failed: ConnectionRefused"):
        await client.assign("x", TAKE_IT)
    assert await client.readiness() is None
    client.close()


async def test_a_call_is_never_repeated_by_itself():
    async with ScriptedRunner().serving() as scripted:
        scripted.answers = [ACCEPTED, None, ACCEPTED]
        client = RunnerClient("127.0.0.1", scripted.port, TOKEN)
        await client.assign("x", TAKE_IT)
        with pytest.raises(RunnerUnreachable):
            await client.assign("y", TAKE_IT)
        await client.assign("z", TAKE_IT)
        assert [call[1] for call in scripted.calls] == ["x", "y", "z"]
        client.close()


async def test_a_call_that_is_not_answered_ends_in_time():
    async with asyncio.timeout(30), ScriptedRunner().serving() as scripted:
        scripted.answers = [SILENCE]
        wire = Transport("127.0.0.1", scripted.port, OneToken(TOKEN))
        with pytest.raises(RunnerUnreachable, match="TimeoutError"):
            await wire.call("GET", "/healthz", seconds=0.1)
        async with wire.stream("/runs?watch=1", silence_seconds=0.1) as lines:
            with pytest.raises(RunnerUnreachable, match="TimeoutError"):
                await anext(lines)
        wire.close()
