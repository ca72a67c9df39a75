"""`relayrun dev` while its graphs load: whoever waits for `/ok` may call, and whoever does not is served as well."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.cli.dev_process import AGENT, Project, running_dev, start
from tests.support.postgres import scratch_folder
from tests.support.runner import free_port
from tests.support.waiting import until_it_is

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(240)]

#: Its import waits for the file `load`.
SLOW = f"""
import time
from pathlib import Path
while not (Path(__file__).parent / "load").exists():
    time.sleep(0.02)
{AGENT}
""" + "".join(f"graph{number} = graph\n" for number in range(11))
GRAPHS = ["graph", *(f"graph{number}" for number in range(11))]


@pytest.fixture
async def project() -> AsyncIterator[Project]:
    async with scratch_folder("readiness") as folder:
        yield Project(folder, SLOW, GRAPHS)


async def test_ok_waits_for_the_first_graphs_and_so_does_a_run_that_comes_before(project: Project) -> None:
    port = free_port()
    log = project.folder / "dev.log"
    project.open_gate()
    process = start(project, ["--port", str(port), "--runners", "2"], log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            async def answers(path: str, status: int) -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return (await client.get(path)).status_code == status
                except httpx.TransportError:
                    return False

            await until_it_is(lambda: answers("/ok", 503), seconds=90)
            wanted = {"assistant_id": "agent", "input": {"steps": []}}
            asked = [
                asyncio.create_task(client.post("/runs/wait", json=wanted)),
                asyncio.create_task(client.post("/assistants/search", json={"limit": 100})),
            ]
            (project.folder / "load").touch()
            waited, search = [await task for task in asked]
            assert waited.json()["steps"] == ["first one", "gate one", "last one"]
            assert len(search.json()) == len(GRAPHS)
            await until_it_is(lambda: answers("/ok", 200))
            assert (await client.get("/ok?check_db=1")).json()["ok"] is True
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait, 60)


async def test_a_graph_that_does_not_load_is_told_by_ok_and_by_every_refusal(project: Project) -> None:
    project.code.write_text("import no_such_module\n")
    async with running_dev(project) as dev, httpx.AsyncClient(base_url=dev.url, timeout=60) as client:

        async def tells() -> bool:
            refused = await client.get("/ok")
            return refused.status_code == 503 and "no_such_module" in refused.json()["detail"]

        await until_it_is(tells)
        refused = await client.post("/runs", json={"assistant_id": "agent", "input": {}})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "no_such_module" in refused.json()["detail"]
