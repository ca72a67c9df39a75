"""The page at `/docs` in a browser that reaches nothing but this server."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api
from tests.support.browser import browsing


async def test_the_page_loads_from_this_server_alone_and_sends_an_example(
    shared: Api, pytestconfig: pytest.Config
) -> None:
    async with browsing(pytestconfig) as browser:
        page = await browser.new_page()
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(f"{shared.url}/docs")
        operation = page.locator("#operations-threads-create_thread")
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_text("Try it out").click()
        await operation.get_by_text("Execute", exact=True).click()
        await operation.get_by_text('"name": "refund-4711"').first.wait_for()
    assert not wrong
    assert {url for url in asked if not url.startswith((f"{shared.url}/", "data:"))} == set()
    threads = await shared.sdk.threads.search(metadata={"customer": "ann"})
    assert [thread["name"] for thread in threads] == ["refund-4711"]


async def test_the_page_lets_no_foreign_script_in(shared: Api) -> None:
    answer = await shared.http.get("/docs")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "//" not in answer.text
    style = await shared.http.get("/docs/swagger-ui.css")
    assert style.headers["content-type"].startswith("text/css")
    assert (await shared.http.get("/redoc")).status_code == 404
