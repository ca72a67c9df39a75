"""A real Prometheus, and promtool.

Where they are missing the tests are skipped, loudly; with REQUIRE_PROMETHEUS=1 Debian's package is unpacked into
`.bench/`, which needs no rights, and the tests fail where that is not possible.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.runner import free_port
from tests.support.skipping import skip_loudly
from tests.support.waiting import until_it_is

_REQUIRED = os.environ.get("REQUIRE_PROMETHEUS") == "1"
_UNPACKED = Path(__file__).resolve().parents[2] / ".bench" / "prometheus"
_PROGRAMS = ("prometheus", "promtool")
_DOWNLOAD = ("apt-get", "download", "-qq", "prometheus")


def install() -> None:
    """Download the programs where they are missing and required."""
    if _found() or not _REQUIRED or not (shutil.which("apt-get") and shutil.which("dpkg")):
        return
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(_DOWNLOAD, cwd=folder, check=False).returncode:
            subprocess.run(["apt-get", "update", "-qq"], check=False)
            subprocess.run(_DOWNLOAD, cwd=folder, check=False)
        for package in Path(folder).glob("prometheus_*.deb"):
            unpacked = Path(tempfile.mkdtemp(dir=folder))
            subprocess.run(["dpkg", "-x", package, unpacked], check=True)
            _UNPACKED.mkdir(parents=True, exist_ok=True)
            for program in _PROGRAMS:
                # Renamed into place: another process may unpack too, or execute it.
                new = _UNPACKED / f"{program}.{os.getpid()}"
                shutil.copy2(unpacked / "usr" / "bin" / program, new)
                new.rename(_UNPACKED / program)


def programs(config: pytest.Config) -> dict[str, str]:
    """The paths of `prometheus` and `promtool`; skips or fails where there are none."""
    install()
    found = _found()
    if not found:
        skip_loudly(
            config, "rules and dashboard were NOT tested: there is no prometheus", required="REQUIRE_PROMETHEUS"
        )
    return found


@asynccontextmanager
async def prometheus(program: str, config: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A Prometheus with this configuration that keeps its data in `folder`; a client of its HTTP API."""
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    line = [program, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [*line, f"--web.listen-address=127.0.0.1:{port}"],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def ready() -> bool:
                assert process.poll() is None, (folder / "prometheus.log").read_text()
                try:
                    return (await client.get("/-/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await until_it_is(ready)
            yield client
    finally:
        process.kill()
        process.wait()


async def query(client: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    """What an expression comes to now: a series each."""
    answer = (await client.get("/api/v1/query", params={"query": expression})).json()
    assert answer["status"] == "success", (expression, answer)
    series: list[dict[str, Any]] = answer["data"]["result"]
    return series


def _found() -> dict[str, str]:
    places = {name: shutil.which(name) or shutil.which(name, path=str(_UNPACKED)) for name in _PROGRAMS}
    return {name: path for name, path in places.items() if path} if all(places.values()) else {}
