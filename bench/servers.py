"""The servers that are measured: `relayrun dev` of this checkout, and `langgraph dev` from the package index."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.langgraph_dev import installed, version
from bench.processes import free_port, local_url, started, undisturbed, work_folder
from relayrun_cli.postgres import remove_data

REPOSITORY = Path(__file__).resolve().parent.parent
GRAPHS = REPOSITORY / "bench" / "graphs"
SLOTS = 10


class Cluster(Protocol):
    """What the bench asks of a cluster."""

    def pool_is_ready(self, runners: int) -> None:
        """Wait until so many runners are ready."""

    def replace(self, pod: str) -> None:
        """Have a new pod made for one whose process was killed."""


@dataclass(frozen=True)
class Server:
    """A server to measure. `pid` and `data` are known only of one that we started, `cluster` only of a release in one.

    `also`: further roots of its processes.
    """

    name: str
    url: str
    version: str = ""
    pid: int | None = None
    data: Path | None = None
    also: tuple[int, ...] = ()
    cluster: Cluster | None = None

    @property
    def killable(self) -> bool:
        """Whether the bench may kill its runners: it started them, or knows their cluster."""
        return self.data is not None or self.cluster is not None


@dataclass(frozen=True)
class Start:
    """How a server is started in a folder."""

    name: str
    command: tuple[str, ...]
    folder: Path
    url: str


@contextlib.contextmanager
def relayrun_start(runners: int, source: Path = GRAPHS) -> Iterator[Start]:
    """`relayrun dev` in a copy of a folder with a langgraph.json, with an embedded Postgres of its own."""
    with work_folder("dev", source) as folder:
        data, port = folder / "data", free_port()
        command = (
            str(Path(sys.executable).with_name("relayrun")),
            *("dev", "--config", "langgraph.json", "--host", "127.0.0.1", "--port", str(port)),
            *("--no-reload", "--no-browser", "--server-log-level", "warning", "--data", str(data)),
            *("--runners", str(runners), "--n-jobs-per-worker", str(SLOTS)),
        )
        try:
            yield Start("relayrun dev", command, folder, local_url(port))
        finally:
            # Postgres may have put files outside of its folder, and survives a killed dev.
            with undisturbed():
                asyncio.run(remove_data(data))


@contextlib.contextmanager
def langgraph_start(source: Path = GRAPHS) -> Iterator[Start]:
    """`langgraph dev` in a copy of such a folder, from a virtual environment of its own under .bench/."""
    executable = installed()
    with work_folder("langgraph", source) as folder:
        port = free_port()
        command = (
            *(str(executable), "dev", "--config", "langgraph.json", "--host", "127.0.0.1", "--port", str(port)),
            *("--no-reload", "--no-browser", "--server-log-level", "warning", "--n-jobs-per-worker", str(SLOTS)),
        )
        yield Start("langgraph dev", command, folder, local_url(port))


@contextlib.contextmanager
def relayrun_dev(runners: int, source: Path = GRAPHS) -> Iterator[Server]:
    """A started `relayrun dev`."""
    with relayrun_start(runners, source) as start, started(start.name, start.command, start.folder, start.url) as pid:
        yield Server(start.name, start.url, "this checkout", pid, start.folder / "data")


@contextlib.contextmanager
def langgraph_dev(source: Path = GRAPHS) -> Iterator[Server]:
    """A started `langgraph dev`."""
    with langgraph_start(source) as start, started(start.name, start.command, start.folder, start.url) as pid:
        yield Server(start.name, start.url, version(), pid)
