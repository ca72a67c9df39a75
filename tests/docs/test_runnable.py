"""Shell blocks whose title is a terminal are run as they stand: the tutorials' own way, with a `relayrun dev`.

Blocks of one terminal run one after the other. A block of another terminal does not wait for them: so one terminal can
kill what another one watches. A Python block whose title is a file's name is that file. In a page
`localhost:8000` stands for the API's address, and `/tmp/` for a folder of the test.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from relayrun_cli.postgres import remove_data
from tests.cli.dev_process import Dev, Project, running_dev
from tests.docs.check import ROOT
from tests.support.postgres import scratch_folder

pytestmark = pytest.mark.timeout(300)  # real processes, on a busy machine
_BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
TUTORIALS = ROOT / "docs" / "tutorials"
#: What readers are told that they see, of each page that has blocks to run.
SEEN = {
    "first-agent": ("answer  You said: Hello\n", "end  success", "Hello from Python", "Hello from curl", "my-thread"),
    "crash-it": ("relayrun  attempt 2: the run goes on\n", "\nthank  {", "end  success", "charge process="),
    "chat-with-approval": ("event: interrupt\n", '"status":"interrupted"', "Refund 42.00 EUR", '"status":"success"'),
}
#: In place of five seconds: until the kill.
_SLEEP = "await asyncio.sleep(5)"


class Made(Project):
    """A project that is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


class Reader:
    """Follows a page, block by block."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._place = folder
        self._dev: Dev | None = None
        self._terminals: dict[str, asyncio.Task[str]] = {}
        self.seen = ""

    async def enter(self, page: str) -> None:
        """Have what the page says that one needs."""
        if page == "chat-with-approval":
            self._place = self._folder / "chat"
            shutil.copytree(ROOT / "examples" / "chat", self._place)
        elif page == "crash-it":
            await self._script("relayrun new my-agent")
            self._place = self._folder / "my-agent"

    async def read(self, language: str, title: str, text: str) -> None:
        text = text.replace("/tmp/", f"{self._folder}/")
        if not title.startswith("Terminal "):
            gate = f"while name == 'charge' and not os.path.exists('{self._folder}/go'): await asyncio.sleep(0.02)"
            (self._place / title).write_text(await self._addressed(text.replace(_SLEEP, gate)))
        elif title == "Terminal 1":
            await self._first_terminal(text)
        else:
            await self._wait_for(title)
            await self._running()
            self._terminals[title] = asyncio.create_task(self._script(await self._addressed(text)))
            if title == "Terminal 3":
                await self._wait_for(title)
                (self._folder / "go").touch()

    async def end(self) -> None:
        for title in sorted(self._terminals):
            await self._wait_for(title)

    async def _first_terminal(self, text: str) -> None:
        if text != "relayrun dev\n":
            self._place = Path((await self._script(f"{text}pwd")).splitlines()[-1])

    async def _addressed(self, text: str) -> str:
        if "localhost:8000" not in text:
            return text
        return text.replace("localhost:8000", (await self._running()).url.removeprefix("http://"))

    async def _running(self) -> Dev:
        if self._dev is None:
            self._stack.push_async_callback(remove_data, self._place / ".relayrun")
            self._dev = await self._stack.enter_async_context(running_dev(Made(self._place), arguments=["--no-reload"]))
        return self._dev

    async def _wait_for(self, title: str) -> None:
        if title in self._terminals:
            self.seen += await self._terminals.pop(title)

    async def _script(self, script: str) -> str:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script),
            cwd=self._place,
            env={**os.environ, "PATH": programs, "RELAYRUN_URL": self._dev.url if self._dev else ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            told = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, f"{script}\n{told}"
        # curl ends with 0 for a refusal too.
        assert "application/problem" not in told
        assert '"status":4' not in told.replace(" ", "")
        return told


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    async with scratch_folder("docs") as folder, AsyncExitStack() as stack:
        yield Reader(folder, stack)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, title and text of each block with a title."""
    return _BLOCK.findall(page.read_text("utf-8"))


def test_every_page_with_blocks_to_run_is_run() -> None:
    pages = sorted((ROOT / "docs").rglob("*.md"))
    marked = {page for page in pages if any(title.startswith("Terminal ") for _, title, _ in blocks(page))}
    assert marked == {TUTORIALS / f"{name}.md" for name in SEEN}


@pytest.mark.parametrize("name", SEEN)
async def test_a_reader_sees_what_the_page_says(name: str, reader: Reader) -> None:
    await reader.enter(name)
    for block in blocks(TUTORIALS / f"{name}.md"):
        await reader.read(*block)
    await reader.end()
    assert [words for words in SEEN[name] if words not in reader.seen] == [], reader.seen
