"""`relayrun` is installed as people do it, into fresh environments of other Pythons, and a new project runs there."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.processes import free_port, local_url, started
from relayrun_cli.postgres import remove_data
from relayrun_core import __version__
from tests.distribution.pythons import REPOSITORY, Venv, interpreter, run, uv
from tests.support.postgres import scratch_folder

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


def from_a_checkout_with_pip(venv: Venv, _: Built) -> None:
    venv.pip_install(str(REPOSITORY / "cli"))


@pytest.mark.parametrize(
    ("version", "install"),
    [("3.11", from_a_checkout_with_pip), ("3.12", from_the_wheel), ("3.13", from_the_sdist)],
)
async def test_a_new_project_runs_where_relayrun_is_installed(
    version: str, install: Callable[[Venv, Built], None], built: Built, pytestconfig: pytest.Config
) -> None:
    async with scratch_folder("installed") as folder:
        venv = Venv(folder / "venv", interpreter(pytestconfig, version))
        await asyncio.to_thread(install, venv, built)
        ours = {name: where for name, where in venv.installed().items() if name.startswith("relayrun")}
        assert list(ours) == ["relayrun"]  # one name, and it was asked of no index
        assert ours["relayrun"].startswith("file://"), ours
        await asyncio.to_thread(try_a_new_project, venv, folder)


def try_a_new_project(venv: Venv, folder: Path) -> None:
    """`relayrun new`, `validate`, `dev` and `run`, each from the environment."""
    relayrun, project, url = str(venv.relayrun), folder / "My Agent", local_url(free_port())
    run([relayrun, "new", str(project)], folder)
    assert "OK" in run([relayrun, "validate"], project)
    dev = [relayrun, "dev", "--port", url.rpartition(":")[2], "--runners", "1", "--no-browser"]
    try:
        with started("relayrun dev", dev, project, url):
            message = json.dumps({"messages": [{"role": "user", "content": "Hello"}]})
            said = run([relayrun, "run", "agent", "--wait", "-i", message, "--url", url], project)
            assert json.loads(said)["messages"][-1]["content"] == "You said: Hello"
    finally:
        asyncio.run(remove_data(project / ".relayrun"))


def test_the_wheel_has_what_no_import_shows(built: Built) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    packages = {part: REPOSITORY / part / f"relayrun_{part}" for part in ("core", "operator", "api", "runner", "cli")}
    for package in packages.values():
        files = [file for file in package.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        assert {file.relative_to(package.parent).as_posix() for file in files} - names == set()
    chart = REPOSITORY / "charts" / "relayrun"
    shipped = {f"relayrun_cli/_checkout/{file.relative_to(REPOSITORY)}" for file in chart.rglob("*") if file.is_file()}
    assert shipped - names == set()
    assert [name for name in names if "__pycache__" in name] == []
    assert built.wheel.name == f"relayrun-{__version__}-py3-none-any.whl"
