"""Author code may end its process, or a part of it: nothing lives on half dead, and what it held goes on elsewhere."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import httpx
import psutil
import pytest

from relayrun_core.database import Database
from relayrun_core.db.runs import get_run
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus
from tests.runner.odd import write_odd
from tests.runner.runs import accepted
from tests.support.runner import Runner, RunnerSetup
from tests.support.waiting import until

pytestmark = pytest.mark.crash

PART_ENDED = 71
# Later ones count how deep C is, and raise RecursionError.
NO_C_LIMIT = pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python bounds the stack of C")


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> RunnerSetup:
    config = write_odd(tmp_path_factory.mktemp("ends") / "odd")
    return RunnerSetup(shared_url, config.parent, agent=str(config.parent))


@pytest.fixture(scope="module")
async def survivor(setup: RunnerSetup) -> AsyncIterator[Runner]:
    """Where the innocent go on."""
    async with Runner(setup, "survivor") as runner:
        yield runner


async def started(runner: Runner, database: Database, graph: str, given: dict[str, str], attempt: int = 1) -> UUID:
    run_id = await accepted(database, graph, input=given)
    assert (await runner.put(run_id, attempt)).status_code == 202
    return run_id


async def row(database: Database, run_id: UUID) -> Run:
    found = await get_run(database, run_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("graph", "codes"),
    [
        ("exits", {0}),
        ("killed", {-signal.SIGKILL}),
        ("segfault", {-signal.SIGSEGV}),
        pytest.param("c_stack", {-signal.SIGSEGV}, marks=NO_C_LIMIT),
        ("closed_descriptors", {-signal.SIGABRT, PART_ENDED}),
        ("cancels_all", {PART_ENDED}),
        ("closes_pool", {PART_ENDED}),
        ("closes_threads", {PART_ENDED}),
    ],
)
async def test_a_process_that_author_code_ended_is_gone_at_once_and_the_innocent_go_on(
    setup: RunnerSetup, survivor: Runner, shared_database: Database, graph: str, codes: set[int]
) -> None:
    async with Runner(setup, graph) as runner:
        innocent = await started(runner, shared_database, "fine", {"gate": str(setup.crash_folder / f"gate-{graph}")})
        guilty = await accepted(shared_database, graph, input={})
        with suppress(httpx.RemoteProtocolError):  # it may end its process before that has answered
            assert (await runner.put(guilty, 1)).status_code == 202
        assert await runner.exit_code() in codes, runner.log.read_text()[-3000:]
    assert (await row(shared_database, guilty)).status is RunStatus.RUNNING
    (setup.crash_folder / f"gate-{graph}").touch()
    assert (await survivor.put(innocent, 2)).status_code == 202
    await survivor.reported(innocent, 2, "Finished")
    assert (await row(shared_database, innocent)).status is RunStatus.SUCCESS


@pytest.mark.parametrize("graph", ["forks", "forks_in_the_loop"])
async def test_a_child_that_a_node_forked_does_not_go_on_with_our_work(
    survivor: Runner, setup: RunnerSetup, shared_database: Database, graph: str
) -> None:
    innocent = await started(survivor, shared_database, "fine", {"gate": str(setup.crash_folder / f"gate-{graph}")})
    run_id = await started(survivor, shared_database, graph, {})
    await survivor.reported(run_id, 1, "Finished")
    assert (await row(shared_database, run_id)).status is RunStatus.SUCCESS
    await until(
        lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in psutil.Process(survivor.pid).children())
    )
    (setup.crash_folder / f"gate-{graph}").touch()
    await survivor.reported(innocent, 1, "Finished")
    assert (await row(shared_database, innocent)).status is RunStatus.SUCCESS
