"""The console in the cluster, in a browser: the API's image has it, and it shows what Kubernetes says."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.console.looking import looking, start
from tests.support.browser import browsing
from tests.support.cluster import Cluster

PATIENCE = 60_000


async def test_people_see_an_agent_s_conditions_and_watch_a_run(cluster: Cluster, pytestconfig: pytest.Config) -> None:
    async with browsing(pytestconfig) as browser, looking(browser, cluster.api_url) as looked:
        page = looked.page
        page.set_default_timeout(PATIENCE)
        await looked.open("/agents")
        agent = page.get_by_role("region", name="Agent all", exact=True)
        await expect(agent.locator(".conditions")).to_contain_text("RunnersReady", timeout=PATIENCE)
        await expect(agent.get_by_role("table", name="Runners of all")).to_contain_text("ready", timeout=PATIENCE)
        thread, run = await start(
            cluster.api_url, "all/slow", {"count": 3, "step_seconds": 0.5}, stream_mode=["updates"]
        )
        await looked.open(f"/threads/{thread}/runs/{run}")
        timeline = page.get_by_role("list", name="Timeline")
        await expect(timeline.get_by_role("button", name="work")).to_have_count(3, timeout=PATIENCE)
        await expect(page.locator(".page-head").get_by_text("success")).to_be_visible(timeout=PATIENCE)
