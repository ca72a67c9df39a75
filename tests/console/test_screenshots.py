"""The pictures of the docs: SCREENSHOTS=docs/images python -m pytest tests/console/test_screenshots.py"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.console.looking import Looked, finished, looking, start
from tests.console.test_pages import holder
from tests.support.dev import Dev
from tests.support.reading import client_of

FOLDER = Path(os.environ.get("SCREENSHOTS", "docs/images")).resolve()
SIZE = {"width": 1200, "height": 760}
GATE = Path("/tmp/gate")  # in a picture: a short path
QUESTION = """Where is my order 4711? I **returned the lamp** on Monday:

| item | price |
|---|---|
| reading lamp | 42.00 |"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def _shot(looked: Looked, name: str, path: str | None = None) -> None:
    page = looked.page
    if path is not None:
        await looked.open(path)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.locator(".loading")).to_have_count(0)
    await page.screenshot(path=FOLDER / f"console-{name}.png")


async def _fill(dev: Dev) -> None:
    """Things to look at that are no runs."""
    async with client_of(dev.url) as client:
        for number, liked in enumerate(("reading lamps", "wooden chairs", "round tables")):
            item = {"namespace": ["customers", "acme"], "key": f"note-{number}", "value": {"text": f"likes {liked}"}}
            (await client.put("/store/items", json=item)).raise_for_status()
        helper = {"graph_id": "chat", "name": "Order helper", "metadata": {"team": "support"}}
        made = (await client.post("/assistants", json=helper)).json()["assistant_id"]
        (await client.patch(f"/assistants/{made}", json={"metadata": {"team": "sales"}})).raise_for_status()
        report = {"assistant_id": "fan", "schedule": "0 7 * * 1-5", "input": {"topics": ["lamps"]}}
        (await client.post("/runs/crons", json=report)).raise_for_status()


async def _close_gate() -> None:
    await asyncio.to_thread(GATE.unlink, missing_ok=True)


async def test_each_page(browser, dev):
    await _close_gate()
    await _fill(dev)
    modes = ["tasks", "updates"]
    said = {"messages": [{"role": "user", "content": QUESTION}]}
    thread, _ = await finished(dev.url, "chat", said, about={"customer": "acme"})
    for order in ("4711", "4712"):
        asks, asking = await finished(dev.url, "refund", {"order": order}, about={"customer": "acme"})
    await finished(dev.url, "fan", {"fail": "chairs"})
    await finished(dev.url, "fan", {})
    lost, run = await start(dev.url, "fan", {"gate": str(GATE)}, stream_mode=modes)
    async with looking(browser, dev.url, viewport=SIZE) as looked:
        page = looked.page
        await looked.open(f"/threads/{lost}/runs/{run}")
        timeline = page.get_by_role("list", name="Timeline")
        await expect(timeline.get_by_role("button", name="research")).to_have_count(3)
        (await holder(dev, lost, run)).kill()
        await expect(timeline).to_contain_text("Attempt 2")
        await _shot(looked, "runs", "/runs")
        await asyncio.to_thread(GATE.touch)
        await looked.open(f"/threads/{lost}/runs/{run}")
        await timeline.get_by_role("button", name="report").click()
        await page.get_by_role("region", name="Step report").get_by_role("tab", name="Difference").click()
        await expect(page.get_by_text("lamps: read").first).to_be_visible()
        await _shot(looked, "run")
        await _shot(looked, "thread", f"/threads/{thread}")
        await looked.open(f"/threads/{asks}/runs/{asking}")
        await page.get_by_role("link", name="Answer").click()
        await page.get_by_label("Approve").check()
        await _shot(looked, "inbox")
        await _close_gate()
        await looked.open("/playground")
        await page.get_by_label("Assistant").select_option(label="fan")
        await page.get_by_label("gate").fill(str(GATE))
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.locator("[data-node='research:read'][data-state=running]")).to_be_visible()
        await _shot(looked, "playground")
        await asyncio.to_thread(GATE.touch)
        for name in ("agents", "assistants", "crons", "store", "status"):
            await _shot(looked, name, f"/{name}")
        await _close_gate()
