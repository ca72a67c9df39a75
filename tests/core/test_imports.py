"""What the start of each part does not import: every restart, reload and scale-out would pay for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

API = """
import relayrun_api.__main__
from relayrun_api.app import create_app
from relayrun_api.settings import ApiSettings

create_app(ApiSettings.model_validate({"database_url": "postgresql://localhost/relayrun", "auth": "none"}))
"""
RUNNER = """
import relayrun_runner.__main__
from relayrun_core.process.imports import quick_imports

with quick_imports():
    import relayrun_runner.process.runner
"""
FORKSERVER = """
from relayrun_core.forkserver.preloading import preload

preload(["relayrun_runner.preloaded"])
"""
SHARED_FORKSERVER = """
from relayrun_core.forkserver.launching import SHARED
from relayrun_core.forkserver.preloading import preload

preload(SHARED)
"""
FORKSERVER_OF_THE_API = f"""
{SHARED_FORKSERVER}
preload(["relayrun_api.preloaded"])
"""
OPERATOR = "import relayrun_operator.__main__"
DEV = """
import relayrun_cli.main
from relayrun_core.process.imports import quick_imports

with quick_imports():
    import relayrun_cli.dev.session
"""
HELP = """
import contextlib, sys
from relayrun_cli.main import app

sys.argv = ["relayrun", "--help"]
with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit):
    app()
"""

GRAPHS = ("langchain_core", "langgraph", "langgraph_sdk", "langsmith")
SERVERS = ("fastapi", "starlette", "uvicorn")
TERMINALS = ("pygments", "rich", "typer")
HEAVY = ("IPython", "langchain", "matplotlib", "numpy", "openai", "pandas", "torch")
CLUSTER = ("kopf", "kubernetes")


@pytest.mark.parametrize(
    ("start", "unwanted"),
    [
        pytest.param(
            API, (*GRAPHS, *TERMINALS, *HEAVY, *CLUSTER, "aiohttp", "jsonschema", "mcp_types", "yaml"), id="api"
        ),
        pytest.param(RUNNER, (*TERMINALS, *HEAVY, *CLUSTER, "aiohttp", "fastapi", "yaml"), id="runner"),
        pytest.param(FORKSERVER, (*TERMINALS, *HEAVY, *CLUSTER, "aiohttp", "fastapi"), id="fork server"),
        pytest.param(
            SHARED_FORKSERVER, (*GRAPHS, *TERMINALS, *HEAVY, *CLUSTER, "aiohttp", "fastapi"), id="fork server of both"
        ),
        pytest.param(
            FORKSERVER_OF_THE_API, (*GRAPHS, *TERMINALS, *HEAVY, *CLUSTER, "aiohttp"), id="fork server of the api"
        ),
        pytest.param(OPERATOR, (*GRAPHS, *SERVERS, *TERMINALS, *HEAVY, "httpx", "psycopg"), id="operator"),
        pytest.param(DEV, (*GRAPHS, *SERVERS, *HEAVY, *CLUSTER, "httpx", "websockets", "yaml"), id="dev"),
        pytest.param(
            HELP, (*GRAPHS, *SERVERS, *HEAVY, *CLUSTER, "aiohttp", "asyncio", "httpx", "psycopg", "pydantic"), id="help"
        ),
    ],
)
def test_a_start_does_not_import(start: str, unwanted: tuple[str, ...]) -> None:
    program = f"{start}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert "relayrun_core" in imported
    assert not imported & set(unwanted)


def test_the_collector_runs_again_after_the_imports() -> None:
    program = """
import gc, sys
from relayrun_core.process.imports import quick_imports

with quick_imports():
    assert not gc.isenabled()
    import httpx
assert gc.isenabled()
assert gc.get_freeze_count() > 10_000
assert not any(module is None for module in sys.modules.values())
import httpx._main
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_module_that_is_there_already_stays() -> None:
    program = """
import httpx._main as before
from relayrun_core.process.imports import quick_imports

with quick_imports():
    import httpx._main as within
import httpx._main as after
assert before is within is after
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_package_that_is_executed_later_is_the_same_to_whoever_uses_it(tmp_path: Path) -> None:
    folder = tmp_path / "langsmith" / "types"
    folder.mkdir(parents=True)
    (tmp_path / "langsmith" / "__init__.py").touch()
    (folder / "__init__.py").write_text("from .all_of_it import Model as Model\nprint('executed')")
    (folder / "all_of_it.py").write_text("class Model: pass")
    (folder / "one.py").write_text("class One: pass")
    program = """
import sys, threading
from relayrun_core.process.imports import quick_imports

with quick_imports():
    from langsmith.types.one import One
print("imported")
assert "langsmith.types.all_of_it" not in sys.modules
import langsmith.types
found = []
threads = [threading.Thread(target=lambda: found.append(langsmith.types.Model)) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
from langsmith.types import Model
assert found == [Model] * 8 and Model is sys.modules["langsmith.types.all_of_it"].Model
assert langsmith.types.one.One is One and not hasattr(langsmith.types, "nothing")
assert type(langsmith.types.__loader__) is type(langsmith.types.__spec__.loader) is type(langsmith.__loader__)
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout.split()) == (0, ["imported", "executed"]), done.stderr


def test_a_runners_start_leaves_the_models_of_langsmith_to_their_first_use() -> None:
    program = f"""{FORKSERVER}
import sys
assert "langsmith.types.run_select_field" in sys.modules
assert "langsmith.types.agent" not in sys.modules
from langsmith.types.run import Run as by_module
from langsmith.types import Agent, Run
assert Run is by_module
import langsmith.client
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_models_that_few_processes_use_are_built_when_they_are_first_used_and_those_of_others_at_once() -> None:
    program = f"""{FORKSERVER_OF_THE_API}
from fastapi import FastAPI
from fastapi.openapi.models import Contact
from pydantic import BaseModel

class Own(BaseModel):
    name: str

assert not Contact.__pydantic_complete__
assert Own.__pydantic_complete__
assert Contact(name="me").name == "me"
assert Contact.__pydantic_complete__
assert FastAPI(title="a title").openapi()["info"]["title"] == "a title"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_the_api_and_a_runner_share_is_what_both_import() -> None:
    program = """
import sys
from relayrun_core.forkserver.launching import SHARED
from relayrun_core.forkserver.preloading import preload

preload([sys.argv[1]])
print(*set(SHARED) - set(sys.modules))
"""
    for part in ("relayrun_api.preloaded", "relayrun_runner.preloaded"):
        done = subprocess.run([sys.executable, "-c", program, part], capture_output=True, text=True, check=True)
        assert not done.stdout.split(), f"not imported by {part}"


def test_a_fork_has_nothing_to_replace_in_all_modules() -> None:
    program = f"""{FORKSERVER}
import sys
import langgraph_sdk
from relayrun_runner import loopback

before = langgraph_sdk.get_client
assert before is langgraph_sdk.client.get_client is not before.__wrapped__
assert before(url="http://elsewhere").http.client.base_url == "http://elsewhere"
loopback.install(loopback.OwnServer("http://here", None))
assert langgraph_sdk.get_client is before
assert isinstance(before().http.client._transport, loopback.AsyncLoopback)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
