"""The page of examples/web in a real browser, against `relayrun dev` and a language model that the tests script."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from playwright.async_api import Browser, Page, expect

from relayrun_cli.postgres import EmbeddedPostgres
from tests.examples.chatting import CONFIG
from tests.examples.openai_server import Call, OpenAIServer, Refusal, Reply, openai_server
from tests.examples.visiting import RUNNER_TOKEN, SECRET, asking_for_tokens, log_in, runner_at_work, say
from tests.support import npm
from tests.support.browser import browsing, served
from tests.support.dev import Dev, relayrun_dev
from tests.support.postgres import fresh_database

FIND = Call("find_order", {"order_id": "4711"}, "call_find")
REFUND = Call("refund", {"order_id": "4711"}, "call_refund")
SCREENSHOT = os.environ.get("SCREENSHOT")

WEB = Path(__file__).resolve().parents[2] / "examples" / "web"

# The first test pays for installing, building and starting everything; the others for a second or two.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
expect.set_options(timeout=20_000)


def build(config: pytest.Config, folder: Path) -> None:
    there = npm.installed(config, WEB, "the page of examples/web was", required="REQUIRE_CHROMIUM")
    npm.run(WEB, there, "run", "build", "--", "--outDir", folder, "--emptyOutDir", "--logLevel", "warn")


@pytest.fixture(scope="module")
async def browser(pytestconfig: pytest.Config) -> AsyncIterator[Browser]:
    async with browsing(pytestconfig) as browser:
        yield browser


@pytest.fixture(scope="module")
async def address(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("web")
    await asyncio.to_thread(build, pytestconfig, folder)
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
async def llm(browser: Browser, address: str) -> AsyncIterator[OpenAIServer]:
    """After the browser and the page: where they are missing nothing else need be started."""
    async with openai_server() as server:
        yield server


@pytest.fixture(scope="module")
async def database_url(llm: OpenAIServer, postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
async def dev(llm: OpenAIServer, database_url: str) -> AsyncIterator[Dev]:
    environment = {"CHAT_MODEL": "test", "OPENAI_BASE_URL": llm.url}
    environment |= {"DATABASE_URL": database_url, "RELAYRUN_RUNNER_TOKEN": RUNNER_TOKEN}
    async with relayrun_dev(config=CONFIG, environment=environment) as dev:
        await dev.answers()
        yield dev


@pytest.fixture
async def page(browser: Browser, address: str, dev: Dev) -> AsyncIterator[Page]:
    """A page in which somebody has just logged in."""
    context = await browser.new_context(viewport={"width": 800, "height": 680}, device_scale_factor=1.5)
    page = await context.new_page()
    page.set_default_timeout(20_000)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.goto(address)
    await log_in(page, dev.url)
    yield page
    await context.close()
    assert not broken


async def test_tokens_appear_as_they_come_and_a_reload_shows_the_history(page, llm):
    gate = asyncio.Event()
    llm.will(Reply("It is", " on", gate, " its way."))
    await say(page, "Where is my order?")
    answer = page.locator("li.assistant")
    await expect(answer).to_have_text("Assistant: It is on")
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    gate.set()
    await expect(answer).to_have_text("Assistant: It is on its way.")
    await expect(page.get_by_label("Message")).to_be_focused()
    await page.reload()
    await expect(page.locator("li.user")).to_have_text("You: Where is my order?")
    await expect(answer).to_have_text("Assistant: It is on its way.")


async def test_a_tool_an_approval_and_its_result(page, llm):
    llm.will(
        Reply("Let me look that up.", FIND),
        Reply("Your lamp came back on Monday, so I can refund it.", REFUND),
        Reply("Done: ", "you get 42.00 EUR back."),
    )
    await say(page, "I sent the lamp of order 4711 back. Can I have my money?")
    found, refund = page.get_by_label("Tool find_order"), page.get_by_label("Tool refund")
    await expect(found).to_contain_text("Order 4711: a reading lamp, 42.00 EUR, returned on Monday.")
    await expect(refund).to_contain_text("waiting")
    approval = page.get_by_role("group", name="Approval")
    await expect(approval).to_be_focused()
    await expect(approval).to_contain_text("Refund 42.00 EUR for order 4711?")
    await expect(page.get_by_role("button", name="Send")).to_be_disabled()
    if SCREENSHOT:
        await page.screenshot(path=SCREENSHOT)
    await page.reload()
    await expect(approval).to_contain_text("Refund 42.00 EUR for order 4711?")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(refund).to_contain_text("Refunded 42.00 EUR for order 4711.")
    await expect(page.locator("li.assistant").last).to_have_text("Assistant: Done: you get 42.00 EUR back.")
    await expect(approval).to_have_count(0)


async def test_a_declined_approval_refunds_nothing(page, llm):
    llm.will(Reply(REFUND), Reply("I am sorry."))
    await say(page, "Refund order 4711")
    await page.get_by_role("button", name="Decline").click()
    await expect(page.get_by_label("Tool refund")).to_contain_text("Not refunded")


async def test_an_error_is_shown_and_the_conversation_goes_on(page, llm):
    llm.will(Refusal(401, "the key of the model is wrong"))
    await say(page, "Hello")
    await expect(page.get_by_role("alert")).to_contain_text("the key of the model is wrong")
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("the key of the model is wrong")
    llm.will(Reply("Here I am."))
    await say(page, "Still there?")
    await expect(page.locator("li.assistant")).to_have_text("Assistant: Here I am.")


async def test_an_answer_goes_on_when_the_api_was_killed_in_the_middle(page, llm, dev):
    first, second = asyncio.Event(), asyncio.Event()
    llm.will(Reply("One", " two", first, " three", second, " four"))
    await say(page, "Count")
    answer = page.locator("li.assistant")
    await expect(answer).to_have_text("Assistant: One two")
    [api] = dev.running("relayrun_api")
    api.kill()
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    first.set()
    # Before the whole message comes, which would hide what was lost or repeated.
    await expect(answer).to_have_text("Assistant: One two three")
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_have_count(0)
    second.set()
    await expect(answer).to_have_text("Assistant: One two three four")
    await expect(page.locator("li.user")).to_have_count(1)


async def test_an_answer_begins_again_when_its_runner_was_killed(page, llm, dev):
    llm.will(Reply("Half a sen", asyncio.Event()), Reply("A whole", " sentence."))
    await say(page, "Say something")
    answer = page.locator("li.assistant")
    await expect(answer).to_have_text("Assistant: Half a sen")
    (await runner_at_work(page, dev)).kill()
    await expect(answer).to_have_text("Assistant: A whole sentence.")


async def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(page, llm):
    gate = asyncio.Event()
    llm.will(Reply("Let me", " see.", FIND), Reply("One", " two", gate, " three"))
    await say(page, "Count the lamps")
    answers = page.locator("li.assistant")
    await expect(answers).to_have_text(["Assistant: Let me see.", "Assistant: One two"])
    await page.reload()
    # What the history has and the replay tells again is there once.
    await expect(answers).to_have_text(["Assistant: Let me see.", "Assistant: One two"])
    await expect(page.locator("li.user")).to_have_text("You: Count the lamps")
    await expect(page.get_by_label("Tool find_order")).to_have_count(1)
    gate.set()
    await expect(answers).to_have_text(["Assistant: Let me see.", "Assistant: One two three"])


async def test_stop_ends_an_answer(page, llm):
    llm.will(Reply("On and", asyncio.Event()))
    await say(page, "Tell me everything")
    await expect(page.locator("li.assistant")).to_have_text("Assistant: On and")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()


async def test_a_token_is_asked_for_and_what_the_api_refuses_is_said_and_kept(page, llm, dev, database_url, address):
    async with asking_for_tokens(dev, database_url, address) as url:
        await page.get_by_role("button", name="Leave").click()
        await log_in(page, url, "not a token")
        await expect(page.get_by_role("alert")).to_be_visible()
        await log_in(page, url, jwt.encode({"sub": "alice", "exp": time.time() + 300}, SECRET))
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        llm.will(Reply("Hello, Alice."))
        await say(page, "Hello")
        await expect(page.locator("li.assistant")).to_have_text("Assistant: Hello, Alice.")
        await say(page, "One too many")
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.get_by_label("Message")).to_have_value("One too many")
        await expect(page.locator("li.user")).to_have_count(1)


async def test_an_api_that_does_not_answer_is_said_and_tried_again(browser, address, dev):
    page = await browser.new_page()
    await page.route(f"{dev.url}/**", lambda route: route.abort())
    await page.goto(address)
    await log_in(page, dev.url)
    await expect(page.get_by_role("alert")).to_contain_text("does not answer")
    await page.unroute_all()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_text("Ask for an order")).to_be_visible()
    await page.close()
