"""Shell blocks that are marked with title="run" are run as they stand, all against one `relayrun dev`.

Blocks of a page run in order, in a project that `relayrun new` made. A Python block whose title is a file's name is
that file. `localhost:8000` stands for the API's address.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cli.dev_process import Dev, Project, running_dev
from tests.docs.check import ROOT
from tests.support.postgres import scratch_folder

pytestmark = pytest.mark.timeout(300)  # real processes, on a busy machine
_BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)


class Made(Project):
    """A project that is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, title and text of each block with a title."""
    return _BLOCK.findall(page.read_text("utf-8"))


def marked() -> Iterator[Path]:
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if any(title == "run" for _, title, _ in blocks(page)):
            yield page


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[Dev]:
    async with scratch_folder("docs") as folder:
        project = folder / "my-agent"
        await run(f"{sys.executable} -m relayrun_cli new {project}", folder, {})
        async with running_dev(Made(project), arguments=["--no-reload"]) as dev:
            yield dev


async def run(script: str, folder: Path, environment: dict[str, str]) -> str:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=folder,
        env={**os.environ, **environment, "PATH": programs},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told = (await process.communicate())[0].decode()
    assert process.returncode == 0, f"{script}\n{told}"
    return told


@pytest.mark.parametrize("page", list(marked()), ids=lambda page: page.stem)
async def test_marked_blocks_run(page: Path, dev: Dev) -> None:
    address = dev.url.removeprefix("http://")
    for language, title, text in blocks(page):
        told = text.replace("localhost:8000", address)
        if title == "run":
            answer = await run(told, dev.project.folder, {"RELAYRUN_URL": dev.url})
            # curl ends with 0 for a refusal too.
            assert "application/problem" not in answer
            assert '"status":4' not in answer.replace(" ", "")
        elif language == "python":
            (dev.project.folder / title).write_text(told)
