"""The processes of `relayrun dev` are forks of one that has imported; the API has none of what the user preloads."""

from __future__ import annotations

import os
import sys

import psutil
import pytest

from tests.cli.dev_process import Dev, Project, alive, running_dev
from tests.support.postgres import scratch_folder
from tests.support.waiting import until

pytestmark = [
    pytest.mark.crash,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]

NOTES_WHO_IMPORTS_IT = """
import os
with open(os.environ["IMPORTERS"], "a") as file:
    file.write(f"{os.getpid()}\\n")
"""


def forker_of(process: psutil.Process) -> psutil.Process:
    parent = process.parent()
    assert parent is not None
    assert "relayrun_core.forkserver" in " ".join(parent.cmdline())
    return parent


async def replaced(dev: Dev, api: psutil.Process) -> psutil.Process:
    """The API that comes after this one was killed, and answers."""
    api.kill()
    await until(lambda: any(found.pid != api.pid for found in dev.part("relayrun_api")))
    assert (await dev.call("GET", "/ok"))["ok"]
    [found] = dev.part("relayrun_api")
    return found


async def test_the_api_outlives_the_process_that_forked_it_and_is_forked_again_by_the_next_one() -> None:
    async with scratch_folder("forks") as folder, running_dev(Project(folder)) as dev:
        [api], [runner] = dev.part("relayrun_api"), dev.part("relayrun_runner")
        first = forker_of(api)
        assert first.parent() == forker_of(runner), "what both import is imported once"
        assert os.getpgid(api.pid) == api.pid, "a Ctrl-C in the terminal must not reach it"
        api = await replaced(dev, api)
        assert forker_of(api) == first
        first.kill()
        await until(lambda: not alive(first))
        assert (await dev.call("GET", "/ok"))["ok"]
        assert alive(api)
        api = await replaced(dev, api)
        assert forker_of(api) != first
        [line] = [line for line in dev.log.splitlines() if "The API was ended by SIGKILL" in line][:1]
        assert "starting it again" in line


async def test_what_the_user_preloads_is_not_imported_before_the_api_is_forked() -> None:
    async with scratch_folder("preload") as folder:
        project = Project(folder)
        modules, importers = folder / "modules", folder / "importers"
        modules.mkdir()
        (modules / "noted_import.py").write_text(NOTES_WHO_IMPORTS_IT)
        environment = {"PYTHONPATH": str(modules), "IMPORTERS": str(importers)}
        async with running_dev(project, environment=environment, arguments=("--preload", "noted_import")) as dev:
            [api], [runner] = dev.part("relayrun_api"), dev.part("relayrun_runner")
            imported = {int(pid) for pid in importers.read_text().split()}
            assert forker_of(runner).pid in imported
            assert not {api.pid, forker_of(api).pid} & imported
