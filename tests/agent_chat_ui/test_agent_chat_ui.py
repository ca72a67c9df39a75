"""agent-chat-ui as it is published (the page of `create-agent-chat-app`), in a real browser, against `relayrun dev`."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.examples.openai_server import Call, OpenAIServer, Reply, openai_server
from tests.support import npm
from tests.support.browser import browsing, served
from tests.support.dev import Dev, relayrun_dev
from tests.support.reading import client_of
from tests.support.waiting import until_it_is

FOLDER = Path(__file__).parent
REFUND = Call("refund", {"order": "4711"})

# The first test pays for installing, building and starting everything; the others for a second or two.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)


def build(config: pytest.Config, folder: Path) -> Path:
    """The page, from its sources in the npm package: nothing of it is changed."""
    npm.installed(config, FOLDER, "agent-chat-ui was", required="REQUIRE_NODE")
    modules = FOLDER / "node_modules"
    shutil.copytree(modules / "create-agent-chat-app" / "templates" / "vite", folder / "page")
    (folder / "page" / "node_modules").symlink_to(modules)
    npm.run(folder / "page", modules / ".bin" / "vite", "build", "--outDir", folder / "built", "--logLevel", "error")
    return folder / "built"


@pytest.fixture(scope="module")
async def browser(pytestconfig: pytest.Config) -> AsyncIterator[Browser]:
    async with browsing(pytestconfig) as browser:
        yield browser


@pytest.fixture(scope="module")
async def address(
    browser: Browser, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    with served(await asyncio.to_thread(build, pytestconfig, tmp_path_factory.mktemp("page"))) as address:
        yield address


@pytest.fixture(scope="module")
async def llm(address: str) -> AsyncIterator[OpenAIServer]:
    async with openai_server() as server:
        yield server


@pytest.fixture(scope="module")
async def dev(llm: OpenAIServer) -> AsyncIterator[Dev]:
    environment = {"CHAT_MODEL": "test", "OPENAI_BASE_URL": llm.url, "OPENAI_API_KEY": "a key"}
    async with relayrun_dev(config=FOLDER / "agent" / "langgraph.json", environment=environment) as dev:
        await dev.answers()
        yield dev


@pytest.fixture
async def page(browser: Browser, address: str, dev: Dev) -> AsyncIterator[Page]:
    """The page of somebody who begins a conversation."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(60_000)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.goto(f"{address}/?{urlencode({'apiUrl': dev.url, 'assistantId': 'agent', 'chatHistoryOpen': 'true'})}")
    yield page
    await context.close()
    assert not broken


async def say(page: Page, text: str) -> None:
    await page.get_by_placeholder("Type your message...").fill(text)
    await page.get_by_role("button", name="Send", exact=True).click()


def said(page: Page) -> Locator:
    """The texts of the conversation, without the buttons beside them."""
    return page.locator("p.bg-muted, .markdown-content")


def buttons(page: Page, text: str) -> Locator:
    """What stands below a message."""
    return page.locator(".group").filter(has=page.get_by_text(text, exact=True)).get_by_role("button")


async def test_tokens_appear_as_they_come_and_the_conversation_is_there_again(page, llm):
    gate = asyncio.Event()
    llm.will(Reply("It is", " on", gate, " its way."))
    await say(page, "Where is my order?")
    await expect(said(page)).to_have_text(["Where is my order?", "It is on"])
    gate.set()
    await expect(said(page)).to_have_text(["Where is my order?", "It is on its way."])
    await page.reload()
    await expect(said(page)).to_have_text(["Where is my order?", "It is on its way."])
    await page.get_by_role("button", name="New thread").click()
    await expect(said(page)).to_have_count(0)
    await page.get_by_role("button", name="Where is my order?").click()
    await expect(said(page)).to_have_text(["Where is my order?", "It is on its way."])


async def test_a_question_is_changed_and_an_answer_asked_for_again(page, llm):
    llm.will(Reply("Hello, Ann."), Reply("Hello, Bob."), Reply("Good day, Bob."))
    await say(page, "I am Ann")
    await expect(said(page)).to_have_text(["I am Ann", "Hello, Ann."])
    await buttons(page, "I am Ann").filter(has_text="Edit").click()
    await page.get_by_role("textbox").first.fill("I am Bob")
    await page.get_by_role("button", name="Submit").click()
    await expect(said(page)).to_have_text(["I am Bob", "Hello, Bob."])
    await buttons(page, "Hello, Bob.").filter(has_text="Refresh").click()
    await expect(said(page)).to_have_text(["I am Bob", "Good day, Bob."])
    await expect(page.get_by_text("2 / 2")).to_have_count(2)  # another question, and another answer to it
    await buttons(page, "I am Bob").first.click()
    await expect(said(page)).to_have_text(["I am Ann", "Hello, Ann."])


@pytest.mark.parametrize(
    ("act", "result"),
    [
        ("accept", "refunded 4711"),
        ("edit", "refunded 4712"),
        ("respond", "not refunded: Ask my boss"),
    ],
)
async def test_the_inbox_answers_the_agents_question(page, llm, act, result):
    llm.will(Reply(REFUND), Reply("That is that."))
    await say(page, "I want my money back")
    await expect(page.get_by_role("button", name="Accept")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Accept")).to_be_visible()
    match act:
        case "accept":
            await page.get_by_role("button", name="Accept").click()
        case "edit":
            await page.get_by_role("textbox").first.fill("4712")
            await page.get_by_role("button", name="Submit").click()
        case _:
            await page.get_by_placeholder("Your response here...").fill("Ask my boss")
            await page.get_by_role("button", name="Send Response").click()
    await expect(page.get_by_text("That is that.")).to_be_visible()
    await expect(page.get_by_text(result)).to_be_visible()
    await expect(page.get_by_role("button", name="Send Response")).to_have_count(0)


async def runs(page: Page, dev: Dev) -> list[dict[str, Any]]:
    async with client_of(dev.url) as client:
        answer = await client.get(f"/threads/{page.url.partition('threadId=')[2]}/runs")
    return answer.json()


async def test_an_answer_is_begun_again_when_its_runner_was_killed(page, llm, dev):
    never = asyncio.Event()
    llm.will(Reply("Half a sen", never), Reply("A whole", " sentence."))
    await say(page, "Say something")
    await expect(said(page).last).to_have_text("Half a sen")
    [run] = await runs(page, dev)
    [runner] = [each for each in dev.running("relayrun_runner") if each.environ()["RELAYRUN_NAME"] == run["runner"]]
    runner.kill()
    await expect(said(page)).to_have_text(["Say something", "A whole sentence."])
    never.set()


async def test_an_answer_is_stopped(page, llm, dev):
    never = asyncio.Event()
    llm.will(Reply("One", never), Reply("Yes."))
    await say(page, "Count")
    await expect(said(page).last).to_have_text("One")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()

    async def stopped() -> bool:
        return [run["status"] for run in await runs(page, dev)] == ["interrupted"]

    await until_it_is(stopped)
    await say(page, "Still there?")
    await expect(said(page).last).to_have_text("Yes.")
    never.set()
