"""Looking at the console: a page that may not break, runs to look at, and what accessibility demands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Request

from tests.support.reading import client_of

AXE = Path(__file__).resolve().parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@dataclass
class Looked:
    """A page, and what went wrong in it."""

    page: Page
    url: str
    broken: list[str] = field(default_factory=list)
    #: Hosts other than the API's that the page asked.
    elsewhere: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.url}/console{path}")


@asynccontextmanager
async def looking(browser: Browser, url: str, *issuer: str, **context: Any) -> AsyncIterator[Looked]:
    """A page of the console in a window of its own. It may ask the API, the issuer and nobody else."""
    # Without a graphics card an animation takes a core for as long as it is seen.
    options = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | context
    window = await browser.new_context(**options)
    page = await window.new_page()
    page.set_default_timeout(30_000)
    looked = Looked(page, url)

    def said(message: ConsoleMessage) -> None:
        # An API that was killed on purpose is no fault of the page; a policy that was broken is.
        if message.type == "error" and "Failed to load resource" not in message.text:
            looked.broken.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith((url, *issuer, "data:", "blob:")):
            looked.elsewhere.append(request.url)

    page.on("pageerror", lambda error: looked.broken.append(str(error)))
    page.on("console", said)
    page.on("request", asked)
    yield looked
    await window.close()
    assert not looked.broken
    assert not looked.elsewhere


async def start(url: str, graph: str, input_: dict[str, Any] | None, **more: Any) -> tuple[str, str]:
    """Start a run on a new thread, and give the ids of both."""
    async with client_of(url) as client:
        thread = (await client.post("/threads", json={"metadata": more.pop("about", {})})).json()["thread_id"]
        body = {"assistant_id": graph, "input": input_, **more}
        answer = await client.post(f"/threads/{thread}/runs", json=body)
        assert answer.is_success, answer.text
        return thread, answer.json()["run_id"]


async def finished(url: str, graph: str, input_: dict[str, Any] | None, **more: Any) -> tuple[str, str]:
    """The same, once the run has ended or asks something."""
    thread, run = await start(url, graph, input_, **more)
    async with client_of(url) as client:
        await client.get(f"/threads/{thread}/runs/{run}/join")
    return thread, run


async def violations(page: Page) -> Sequence[str]:
    """What axe finds serious, as sentences."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(await asyncio.to_thread(AXE.read_text))
    found = await page.evaluate("rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _RULES)
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


async def too_wide(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width: int = await page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
    return max(0, width)
