"""Status that was not written the first time is written later: nothing depends on having been told once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from relayrun_core.runner_protocol import Accepted, AlreadyFinished, OutcomeBody
from relayrun_core.states import Reason, RunStatus
from relayrun_operator.kube import names
from relayrun_operator.kube.agentruns import AgentRuns, about_run
from relayrun_operator.kube.client import KubeClient, Object
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.events import EventPoster
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.records import RunRecord, parse_run
from relayrun_operator.kube.writer import PATIENCE_SECONDS, StatusWriter

PATH = names.runs_path("team", "r")
API_RUN = {"runId": "0199a3c4-7b1e-7c60-9b8f-3f6f0a7d9e21", "thread": "t", "graph": "g"}
SUCCEEDED = AlreadyFinished(outcome=OutcomeBody(status=RunStatus.SUCCESS, reason=Reason.SUCCEEDED))


def accepted(attempt: int) -> Accepted:
    return Accepted(run_id=API_RUN["runId"], attempt=attempt)


class Objects(KubeClient):
    """An API server of a few objects. `refusals` are raised by the next requests, one each."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None))
        self.objects: dict[str, Object] = {}
        self.refusals: list[KubeError] = []
        self.events: list[str] = []
        self.writes = 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        del query, content_type, accept
        await asyncio.sleep(0)
        if method == "PATCH":
            self.writes += 1
            if self.refusals:
                raise self.refusals.pop(0)
            return self._patch(path.removesuffix("/status"), body or {})
        if method in ("POST", "PUT"):
            made = dict(body or {})
            if "generateName" in made["metadata"]:
                self.events.append(made["reason"])
                return made
            path = path if method == "PUT" else f"{path}/{made['metadata']['name']}"
            made["metadata"] = {**made["metadata"], "resourceVersion": self._next(path)}
            self.objects[path] = made
        if path not in self.objects:
            raise KubeError(404, "NotFound", path)
        return self.objects[path]

    def _patch(self, path: str, body: Object) -> Object:
        before = self.objects[path]
        if body["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", path)
        status = {**before.get("status", {}), **body["status"]}
        metadata = {**before["metadata"], "resourceVersion": self._next(path)}
        kept = {key: value for key, value in status.items() if value is not None}
        self.objects[path] = {**before, "metadata": metadata, "status": kept}
        return self.objects[path]

    def _next(self, path: str) -> str:
        return str(int(self.objects.get(path, {"metadata": {"resourceVersion": 0}})["metadata"]["resourceVersion"]) + 1)


class Setting:
    """A leader's agentruns and writer, and one AgentRun in both agentruns and API server."""

    def __init__(self, tasks: asyncio.TaskGroup, spec: Object) -> None:
        self.server = Objects()
        metadata = {
            "name": "r",
            "namespace": "team",
            "uid": "u",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "resourceVersion": "1",
        }
        self.server.objects[PATH] = {"metadata": metadata, "spec": {"agentRef": {"name": "a"}, **spec}}
        self.lease = Lease(self.server, "team", "me")
        metrics = OperatorMetrics()
        self.writer = StatusWriter(self.server, self.lease, tasks, metrics, "AgentRun")
        self.events = EventPoster(self.server, "me")
        self.agentruns = AgentRuns(self.writer, self.events, metrics)
        self.record: RunRecord = parse_run(self.server.objects[PATH])
        self.agentruns.add(self.record)

    @property
    def phase(self) -> str | None:
        """As the API server has it."""
        phase: str | None = self.server.objects[PATH].get("status", {}).get("phase")
        return phase

    def ends(self) -> None:
        """The run succeeds."""
        self.agentruns.ended(self.record.run_id, 1, SUCCEEDED, "team/a-0")

    async def written(self) -> None:
        """Until nothing waits to be written any more."""
        async with asyncio.timeout(60):
            while not self.writer.idle:
                await asyncio.sleep(0.01)  # the writer has no event for it

    async def told(self) -> list[str]:
        """The reasons of all Events so far."""
        posting = asyncio.create_task(self.events.run())
        self.events.post(about_run(self.record), "Last", "", unusual=True)
        async with asyncio.timeout(60):
            while "Last" not in self.server.events:
                await asyncio.sleep(0.01)
        posting.cancel()
        return self.server.events[:-1]


@pytest.fixture
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    async with asyncio.TaskGroup() as tasks:
        made = Setting(tasks, getattr(request, "param", {"input": {}}))
        yield made
        await made.written()


async def test_a_status_is_written_once_the_lease_is_held_again(setting: Setting) -> None:
    setting.ends()
    await asyncio.sleep(0.05)  # the first try, without a Lease
    assert setting.phase is None
    await setting.lease.acquire()
    await setting.written()
    assert setting.phase == "Succeeded"


async def test_a_full_pass_writes_what_was_refused(setting: Setting) -> None:
    await setting.lease.acquire()
    setting.server.refusals = [KubeError(422, "Invalid", "for now")]
    setting.ends()
    await setting.written()
    assert setting.phase is None
    setting.agentruns.write_missed()
    await setting.written()
    assert setting.phase == "Succeeded"


async def test_a_full_pass_writes_nothing_when_nothing_is_missing(setting: Setting) -> None:
    await setting.lease.acquire()
    setting.agentruns.waits(setting.record.run_id, "NoCapacity", "all is taken")
    await setting.written()
    setting.agentruns.write_missed()
    await setting.written()
    setting.ends()
    await setting.written()
    writes = setting.server.writes
    setting.agentruns.write_missed()
    await setting.written()
    assert setting.server.writes == writes == 2


async def test_a_conflict_is_written_with_the_newer_version(setting: Setting) -> None:
    await setting.lease.acquire()
    setting.server.objects[PATH]["metadata"]["resourceVersion"] = "40"
    setting.ends()
    await setting.written()
    assert setting.phase == "Succeeded"


async def test_a_new_leader_finds_nothing_to_write_in_what_the_last_one_wrote(setting: Setting) -> None:
    await setting.lease.acquire()
    setting.agentruns.runs(setting.record.run_id, "team/a-0", accepted(1))
    await setting.written()
    assert setting.phase == "Running"
    setting.agentruns.forget(setting.record)
    setting.agentruns.add(parse_run(setting.server.objects[PATH]))
    setting.agentruns.write_missed()
    assert setting.writer.idle


async def test_a_person_s_run_tells_of_each_change_in_events(setting: Setting) -> None:
    await setting.lease.acquire()
    setting.agentruns.runs(setting.record.run_id, "team/a-0", accepted(1))
    setting.ends()
    assert await setting.told() == ["Assigned", "Succeeded"]


@pytest.mark.parametrize("setting", [API_RUN], indirect=True)
async def test_an_ordinary_run_of_the_api_costs_one_write_and_no_event(setting: Setting) -> None:
    await setting.lease.acquire()
    setting.agentruns.runs(setting.record.run_id, "team/a-0", accepted(1))
    # A person's run is written as Running by now.
    await asyncio.sleep(2 * PATIENCE_SECONDS)
    setting.ends()
    await setting.written()
    assert (setting.server.writes, setting.phase) == (1, "Succeeded")
    assert await setting.told() == []


@pytest.mark.parametrize("name", ["n" * 49 + ".n", "n" * 48 + "-.-n", "n" * 253])
async def test_an_event_gets_a_name_that_the_api_server_takes(setting: Setting, name: str) -> None:
    event = setting.events._event(replace(about_run(setting.record), name=name), "Assigned", "", "Normal")
    made = f"{event['metadata']['generateName']}x2x4z"  # type: ignore[index]
    assert len(made) <= 253
    assert all(part == part.strip("-") != "" for part in made.split("."))


@pytest.mark.parametrize("setting", [API_RUN], indirect=True)
async def test_a_run_of_the_api_that_goes_on_elsewhere_tells_so_in_events(setting: Setting) -> None:
    await setting.lease.acquire()
    setting.agentruns.runs(setting.record.run_id, "team/a-0", accepted(1))
    setting.agentruns.runs(setting.record.run_id, "team/a-1", accepted(2))
    setting.agentruns.ended(setting.record.run_id, 2, SUCCEEDED, "team/a-1")
    assert await setting.told() == ["Resumed", "Succeeded"]
