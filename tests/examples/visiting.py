"""What a visitor of the page does, and what happens meanwhile to the installation behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
from playwright.async_api import Page, expect

from relayrun_api.settings import ApiSettings
from tests.api.conftest import serving
from tests.support.dev import Dev
from tests.support.reading import client_of

SECRET = "a secret that is long enough for an HS256 signature"


#: What the runners of such a dev are called with.
RUNNER_TOKEN = "runner-token-of-the-page"


async def log_in(page: Page, url: str, token: str = "") -> None:
    await page.get_by_label("Address of the API").fill(url)
    await page.get_by_label("Token or user name").fill(token)
    await page.get_by_role("button", name="Begin").click()


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message").fill(text)
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()  # the thread is loaded
    await page.get_by_label("Message").press("Enter")


async def runner_at_work(page: Page, dev: Dev) -> psutil.Process:
    thread = page.url.partition("thread=")[2]
    async with client_of(dev.url) as client:
        [run] = (await client.get(f"/threads/{thread}/runs")).json()
    return next(
        runner for runner in dev.running("relayrun_runner") if runner.environ()["RELAYRUN_NAME"] == run["runner"]
    )


@asynccontextmanager
async def asking_for_tokens(dev: Dev, database_url: str, origin: str, **more: Any) -> AsyncIterator[str]:
    """A second API of the same installation, as strict as in production: a token, one origin, a rate limit."""
    [api] = dev.running("relayrun_api")
    settings = ApiSettings(
        database_url=database_url,
        runners_file=api.environ()["RELAYRUN_RUNNERS_FILE"],
        runner_token=RUNNER_TOKEN,
        cors_origins=[origin],
        **({"rate_limit": 1, "auth": "jwt", "jwt_secret": SECRET} | more),
    )
    async with serving(settings) as (_, _, url):
        yield url
