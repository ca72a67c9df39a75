"""`relayrun dev --debug-port`: an editor's debugger stops a node of the agent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from relayrun_cli.dev.options import DevOptions
from relayrun_cli.dev.starting import runner_command
from relayrun_core.process.parent import VARIABLE as PARENT_VARIABLE
from tests.cli.debugger import Debugger, listens
from tests.cli.dev_process import AGENT, Project, running_dev
from tests.support.lifeline import Lifeline
from tests.support.postgres import scratch_folder
from tests.support.runner import free_port

pytest.importorskip("debugpy", reason="debugpy is not installed: --debug-port is not tested")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def test_a_debugger_attaches_before_the_agent_loads_and_stops_a_node_without_losing_the_run() -> None:
    port = free_port()
    breakpoint_at = AGENT.splitlines().index('    return note("last")') + 1
    async with scratch_folder("debug") as folder:
        project = Project(folder)
        project.open_gate()
        arguments = ("--debug-port", str(port), "--wait-for-client", "--no-reload")
        async with running_dev(project, arguments=arguments) as dev:
            assert "is ready: agent" not in dev.log
            async with Debugger.attached(port, str(project.code), breakpoint_at) as debugger:
                await dev.wait_for("is ready: agent")
                run = await dev.start_run("debugged")
                stopped = await debugger.stopped()
                assert stopped["line"] == breakpoint_at
                value = await debugger.ask("evaluate", expression="state['steps']", frameId=stopped["frameId"])
                assert value["result"] == "['first one', 'gate one']"
                await debugger.ask("continue", threadId=stopped["threadId"])
                assert (await dev.join("debugged", run))["steps"][-1] == "last one"
            assert (await dev.call("GET", f"/threads/debugged/runs/{run}"))["attempt"] == 1
            dev.send(signal.SIGTERM)
            assert await dev.ended() == 0, dev.log


async def test_a_runner_that_waits_for_a_debugger_ends_with_its_parent(tmp_path: Path) -> None:
    port = free_port()
    command = runner_command(DevOptions(tmp_path, debug_port=port, wait_for_client=True))
    with Lifeline() as lifeline:
        environment = {**os.environ, "RELAYRUN_TOKEN": "t", PARENT_VARIABLE: str(lifeline.read_end)}
        process = subprocess.Popen(command, env=environment, pass_fds=(lifeline.read_end,), stderr=subprocess.DEVNULL)
        _, editor = await listens(port)
        assert process.poll() is None
    editor.close()
    assert await asyncio.to_thread(process.wait, 60) == 0
