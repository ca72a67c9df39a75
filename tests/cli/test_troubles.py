"""What `relayrun dev` prints when code does not load, and when it is stopped: each thing once, and no tracebacks."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.cli.dev_process import AGENT, Project, running_dev
from tests.support.postgres import scratch_folder
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(300)]

OLD, NONE = "The old code keeps running", "No code runs"


async def test_a_graph_that_does_not_load_is_told_once_by_two_runners(database_url: str) -> None:
    async with scratch_folder("troubles") as folder:
        project = Project(folder, "import not_installed\n")
        arguments, environment = ["--runners", "2"], {"DATABASE_URL": database_url, "NO_COLOR": "1", "COLUMNS": "300"}
        async with running_dev(project, arguments=arguments, environment=environment) as dev:
            first = "ModuleNotFoundError: No module named 'not_installed'"
            await dev.wait_for("the fixed code is loaded automatically")
            assert f"did not load: {first}: the fixed code is loaded automatically" in dev.log
            await until(lambda: len(re.findall(r"runner default-0-\d listens on", dev.log)) == 2)
            project.code.write_text("import not_installed_either\n")
            await dev.wait_for(f"not_installed_either'. {NONE}; the fixed code is loaded automatically")
            project.code.write_text(AGENT)
            await dev.wait_for("The new code runs")
            project.code.write_text("import not_installed\n")
            await dev.wait_for(f"{first}. {OLD}; the fixed code is loaded automatically")
            project.open_gate()
            values = await dev.join("t", await dev.start_run("t"))
            assert values["steps"][-1] == "last one"
            dev.send(signal.SIGINT)
            assert await dev.ended() == 0
            told = [re.sub(r"^\S+ ", "", line) for line in dev.log.splitlines() if "ERROR" in line]
            sentence = "ERROR relayrun.local: graph agent: ./agent.py:graph did not load: "
            either = first.replace("not_installed", "not_installed_either")
            assert told == [f"{sentence}{first}", f"{sentence}{either}", f"{sentence}{first}"]
            assert re.search(rf'File "{project.code}", line 1, in <module>\n +import not_installed\n', dev.log)
            assert "Traceback" not in dev.log


APP = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette

@asynccontextmanager
async def lifespan(app):
    yield
    print("the app has ended", flush=True)

app = Starlette(lifespan=lifespan)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stopping_prints_no_traceback(number: signal.Signals, database_url: str) -> None:
    async with scratch_folder("stopping") as folder:
        project = Project(folder)
        (folder / "web.py").write_text(APP)
        file = folder / "langgraph.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "http": {"app": "./web.py:app"}}))
        arguments, environment = ["--runners", "2"], {"DATABASE_URL": database_url}
        async with running_dev(project, arguments=arguments, environment=environment) as dev:
            await dev.start_run("t")
            await until(lambda: "gate one" in project.effects())
            dev.send(number)
            await until(lambda: "draining: no new runs" in dev.log)
            project.open_gate()
            assert await dev.ended() == 0
            assert "Traceback" not in dev.log, dev.log
            assert "ERROR" not in dev.log, dev.log
            assert dev.log.count("the app has ended") == len(re.findall("runner default-0-. is ready", dev.log))
