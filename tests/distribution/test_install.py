"""`relayrun` is installed as people do it, into fresh environments of other Pythons, and a new project runs there."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bench.processes import free_port, local_url, started
from relayrun_cli import checkout
from relayrun_cli.errors import ExitCode
from relayrun_cli.postgres import remove_data
from relayrun_core import __version__
from tests.distribution.pythons import REPOSITORY, Venv, interpreter, run, tried, uv
from tests.support.postgres import scratch_folder

_ASKED_BY_STUDIO = {
    "Origin": "https://smith.langchain.com",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Private-Network": "true",
}

# Installing into a fresh environment takes as long as the package index does.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Built:
    """What `make dist` makes."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    uv("build", "--quiet", "--out-dir", str(folder), "cli")
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


def from_the_wheel(venv: Venv, built: Built) -> None:
    venv.uv_install(str(built.wheel))


def from_the_sdist(venv: Venv, built: Built) -> None:
    venv.uv_install(str(built.sdist))


def from_the_wheel_with_the_oldest_libraries(venv: Venv, built: Built) -> None:
    declared = tomllib.loads((REPOSITORY / "cli" / "pyproject.toml").read_text())["project"]["dependencies"]
    venv.uv_install("--resolution", "lowest-direct", str(built.wheel), *declared)
    told = venv.installed()
    assert (told["langgraph"], told["fastapi"], told["starlette"]) == ("1.2.0", "0.115.0", "0.38.6")
    assert told["langchain-core"].startswith("1.4.")


def from_a_checkout_with_pip(venv: Venv, _: Built) -> None:
    venv.pip_install(str(REPOSITORY / "cli"))


@pytest.mark.parametrize(
    ("version", "install"),
    [
        # The newest libraries on 3.11 are those of all other tests, and an sdist becomes a wheel when it is installed.
        ("3.11", from_the_wheel_with_the_oldest_libraries),
        ("3.12", from_a_checkout_with_pip),
        ("3.13", from_the_sdist),
    ],
)
async def test_a_new_project_runs_where_relayrun_is_installed(
    version: str,
    install: Callable[[Venv, Built], None],
    built: Built,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As people have it: what one command has compiled the next one loads.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    async with scratch_folder("installed") as folder:
        venv = Venv(folder / "venv", interpreter(pytestconfig, version))
        await asyncio.to_thread(install, venv, built)
        ours = {name: where for name, where in venv.installed().items() if name.startswith("relayrun")}
        assert list(ours) == ["relayrun"]  # one name, and it was asked of no index
        assert ours["relayrun"].startswith("file://"), ours
        await asyncio.to_thread(try_a_new_project, venv, folder)


def try_a_new_project(venv: Venv, folder: Path) -> None:
    """`relayrun new`, `validate`, `dev` and `run`, each from the environment: an answer, a question, the way on."""
    relayrun, project, url = str(venv.relayrun), folder / "My Agent", local_url(free_port())
    run([relayrun, "new", str(project), "--template", "approval"], folder)
    assert "OK" in run([relayrun, "validate"], project)
    dev = [relayrun, "dev", "--port", url.rpartition(":")[2], "--runners", "1", "--no-browser"]
    try:
        with started("relayrun dev", dev, project, url):
            options = ("--thread", "order", "--url", url)
            streamed = tried([relayrun, "run", "agent", "-i", '{"order": "a bicycle"}', *options, "--json"], project)
            assert streamed.returncode == ExitCode.WAITING_FOR_INPUT, streamed.stderr
            assert "May I place this order?" in streamed.stdout
            resumed = [relayrun, "run", "agent", "--resume", '{"approved": true}', *options, "--wait"]
            assert json.loads(run(resumed, project))["result"] == "ordered: a bicycle"
            told = httpx.get(f"{url}/threads/order/history", params={"limit": 1}).raise_for_status().json()
            assert told[0]["values"]["approved"] is True
            selected = httpx.get(f"{url}/threads/order/state", params={"select": ["values.approved", "next"]})
            assert selected.json() == {"values": {"approved": True}, "next": []}
            httpx.get(f"{url}/openapi.json").raise_for_status()
            httpx.options(f"{url}/threads", headers=_ASKED_BY_STUDIO).raise_for_status()
    finally:
        asyncio.run(remove_data(project / ".relayrun"))


@pytest.mark.parametrize(
    ("package", "version", "verbs"),
    [
        ("langgraph", "1.1.10", ("validate", "dev")),
        ("pydantic-settings", "2.6.0", ("validate", "dev")),
        ("rich", None, ("validate", "ps")),  # nothing of the command line can be imported then
    ],
)
async def test_a_library_that_does_not_fit_is_a_sentence(
    package: str, version: str | None, verbs: Sequence[str], installed: Venv
) -> None:
    kept = installed.installed()[package]
    if version is None:
        uv("pip", "uninstall", "--quiet", "--python", str(installed.python), package)
    else:
        installed.uv_install("--no-deps", f"{package}=={version}")
    try:
        run([str(installed.python), "-c", "import relayrun_core"], REPOSITORY)
        for verb in verbs:
            said = tried([str(installed.relayrun), verb], installed.folder)
            assert said.returncode == 1
            assert "Traceback" not in said.stderr
            problem = f"{package} is {version}" if version else f"{package} is not installed"
            assert f"{problem}; install '{package}" in " ".join(said.stderr.split())
    finally:
        installed.uv_install("--no-deps", f"{package}=={kept}")


@pytest.fixture(scope="module")
async def installed(built: Built) -> AsyncIterator[Venv]:
    async with scratch_folder("unfit") as folder:
        venv = Venv(folder / "venv", Path(sys.executable))
        await asyncio.to_thread(from_the_wheel, venv, built)
        yield venv


def test_the_wheel_has_what_no_import_shows(built: Built) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    packages = {part: REPOSITORY / part / f"relayrun_{part}" for part in ("core", "operator", "api", "runner", "cli")}
    for package in packages.values():
        files = [file for file in package.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        assert {file.relative_to(package.parent).as_posix() for file in files} - names == set()
    chart = REPOSITORY / "charts" / "relayrun"
    shipped = {f"relayrun_cli/_checkout/{file.relative_to(REPOSITORY)}" for file in chart.rglob("*") if file.is_file()}
    assert shipped - names == set()
    sources = {*checkout._FILES, "examples/steps/demo.py", "examples/steps/langgraph.json"}
    assert {f"relayrun_cli/_checkout/{file}" for file in sources} - names == set()
    assert [name for name in names if "__pycache__" in name] == []
    assert built.wheel.name == f"relayrun-{__version__}-py3-none-any.whl"
