"""examples/tools: an agent that uses an MCP server and another agent by A2A is killed while the other one works."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.dev import relayrun_dev
from tests.support.reading import client_of
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "tools"
#: Beside our own environment, which has a newer `mcp` than the adapters take.
PACKAGES = ("langchain-mcp-adapters==0.3.2", "mcp==1.30.0", "httpx-sse==0.4.3")

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def packages() -> Path:
    """Where the example's packages are, which are there from then on."""
    folder = ROOT / ".bench" / "mcp-adapters"
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != str(PACKAGES):
        uv = os.environ.get("UV") or shutil.which("uv")
        assert uv, "no uv found: run this by `make`, which passes it as UV="
        install = (uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder), "--python", sys.executable)
        subprocess.run([*install, *PACKAGES], check=True)
        stamp.write_text(str(PACKAGES))
    return folder


async def test_the_other_agent_is_called_once_although_the_step_is_done_twice(tmp_path: Path, packages: Path) -> None:
    log = tmp_path / "effects.log"
    environment = {"EFFECTS_LOG": str(log), "STEP_SECONDS": "2", "PYTHONPATH": str(packages)}
    config = EXAMPLE / "langgraph.json"

    def reserved() -> list[str]:
        return [line for line in log.read_text().splitlines() if "reserve" in line] if log.exists() else []

    async with relayrun_dev(config=config, environment=environment) as dev, client_of(dev.url) as http:
        run = {"assistant_id": "trip", "input": {"city": "Lisbon"}, "if_not_exists": "create"}
        trip = asyncio.create_task(http.post("/threads/trip/runs/wait", json=run, timeout=200))
        await until(lambda: bool(reserved()) or trip.done(), seconds=100)
        assert not trip.done(), trip.result().text
        for runner in dev.running("relayrun_runner"):
            runner.kill()
        values = (await trip).json()
        [called], booked = await _runs(http, "trip"), await _runs(http, "booking")
    assert values["answer"] == "Booked: a flight to Lisbon for 120 EUR"
    # Both steps that were cut short were done again, and it is one task.
    assert called["attempt"] > 1
    assert len(reserved()) > 1
    assert [run["run_id"] for run in booked] == [values["task"]]


async def _runs(http: Any, graph: str) -> list[dict[str, Any]]:
    found = (await http.post("/runs/search", json={"graph": graph})).json()
    runs: list[dict[str, Any]] = found["runs"]
    return runs
