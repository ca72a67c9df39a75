"""The console's other pages in a real browser: the inbox, the playground, agents, assistants, crons and the store."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.console.looking import finished, looking, too_wide, violations
from tests.support.reading import client_of

# The first test pays for installing, building and starting everything; the others for a second or two.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def values_of(url: str, thread: str) -> dict[str, Any]:
    """The values of a thread once its run has ended."""
    async with client_of(url) as client:
        [run, *_] = (await client.get(f"/threads/{thread}/runs")).json()
        await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
        values: dict[str, Any] = (await client.get(f"/threads/{thread}/state")).json()["values"]
        return values


async def question(page: Page, thread: str) -> None:
    """Wait until the question of the thread can be answered."""
    await expect(page.get_by_role("link", name="Open the thread")).to_have_attribute("href", re.compile(thread))
    await expect(page.locator("form.answer")).to_be_visible()


async def test_two_tool_calls_are_decided_with_the_keyboard(looked, dev):
    page = looked.page
    thread, _ = await finished(dev.url, "mail", {"messages": [{"role": "user", "content": "Write to Alice"}]})
    await looked.open(f"/inbox?thread={thread}")
    await question(page, thread)
    await expect(page.get_by_role("link", name="Inbox")).to_contain_text("waiting")
    assert await violations(page) == []
    # What tells it from others is in the list, and nothing is said twice.
    await expect(page.get_by_role("list", name=re.compile("Questions"))).to_contain_text("to: alice@example.com")
    await expect(page.locator(".description").first).to_have_text("Tool execution requires approval")
    await page.keyboard.press("e")
    await page.get_by_label("text *").fill("On Tuesday?")
    await page.get_by_role("heading", name="send_mail").click()
    await page.keyboard.press("r")
    await page.keyboard.type("Keep it.")
    await page.get_by_role("button", name="Send all answers").press("Enter")
    await expect(page.get_by_text("Answered. The run goes on.")).to_be_visible()
    *_, sent, kept, said = (await values_of(dev.url, thread))["messages"]
    assert "On Tuesday?" in json.dumps([sent, kept, said])
    assert "Keep it." in json.dumps([sent, kept])


async def test_questions_of_every_shape_have_a_form(looked, dev):
    page = looked.page
    room = {"action": "book_room", "args": {"nights": 2, "city": "Rome"}}

    async def answered(thread: str) -> Any:
        await expect(page.get_by_text("Answered. The run goes on.")).to_be_visible()
        return (await values_of(dev.url, thread))["answer"]

    async def asked(kind: str) -> str:
        thread, _ = await finished(dev.url, "ask", {"kind": kind})
        await looked.open(f"/inbox?thread={thread}")
        await question(page, thread)
        return thread

    thread = await asked("inbox")
    await expect(page.locator(".action strong")).to_have_text("it")
    await page.get_by_role("radio", name="Edit").check()
    await page.get_by_label("nights *").fill("3")
    await page.get_by_role("button", name="Send the answer").click()
    edited = room | {"args": {"nights": 3, "city": "Rome"}}
    assert await answered(thread) == [{"type": "edit", "args": edited}]
    thread = await asked("inbox")
    await page.keyboard.press("a")
    await page.keyboard.press("Enter")
    assert await answered(thread) == [{"type": "accept", "args": room}]
    thread = await asked("schema")
    await page.get_by_label("nights *").fill("4")
    await page.get_by_label("breakfast *").check()
    assert await violations(page) == []
    await page.get_by_role("button", name="Send the answer").click()
    assert await answered(thread) == {"nights": 4, "breakfast": True}
    thread = await asked("text")
    async with client_of(dev.url) as client:
        body = {"assistant_id": "ask", "command": {"resume": "Bob"}}
        await client.post(f"/threads/{thread}/runs/wait", json=body)
    await expect(page.get_by_role("alert")).to_contain_text("This question does not wait now")
    await expect(page.get_by_role("button", name="Send the answer")).to_be_disabled()


async def test_of_two_who_answer_at_once_one_wins_and_the_other_is_told(looked, browser, dev):
    thread, _ = await finished(dev.url, "refund", {"order": "4711"})
    async with looking(browser, dev.url) as second:
        for one in (looked, second):
            await one.open(f"/inbox?thread={thread}")
            await question(one.page, thread)
            await one.page.get_by_role("radio", name="Approve").check()
        # Whoever comes second does not see in time that the question is answered.
        await second.page.route("**/threads/search", lambda route: route.abort())
        sends = [one.page.get_by_role("button", name="Send the answer") for one in (looked, second)]
        await sends[0].click()
        await expect(looked.page.get_by_text("Answered. The run goes on.")).to_be_visible()
        await sends[1].click()
        await expect(second.page.get_by_role("alert")).to_contain_text("Somebody else answered this question first.")
    assert (await values_of(dev.url, thread))["told"] == "Refunded."


async def test_a_message_is_sent_with_enter_and_the_next_one_can_be_written(looked):
    page = looked.page
    await looked.open("/playground")
    await page.get_by_label("Assistant").select_option(label="chat")
    message = page.get_by_label("Message")
    await message.press("Enter")  # nothing to send
    await message.fill("Good")
    await message.press("Shift+Enter")
    await message.press_sequentially("morning")
    await message.press("Enter")
    await expect(page.get_by_text("Finished.")).to_be_visible()
    await expect(page.get_by_role("list", name="Conversation")).to_contain_text("You said: Good morning")
    await expect(message).to_be_focused()
    await expect(message).to_have_value("")
    assert await violations(page) == []


async def test_a_run_lights_up_its_nodes_pauses_before_one_is_edited_and_goes_on(looked, tmp_path):
    page, gate = looked.page, tmp_path / "gate"
    await looked.open("/playground")
    await page.get_by_label("Assistant").select_option(label="fan")
    await page.get_by_label("topics").fill("lamps\nchairs")
    await page.get_by_label("gate").fill(str(gate))
    await page.get_by_text("Pause at nodes").click()
    await page.get_by_label("Pause before report").check()
    await page.get_by_role("button", name="Run", exact=True).click()
    await expect(page.locator("[data-node='plan'][data-state=done]")).to_be_visible()
    await expect(page.locator("[data-node='research:read'][data-state=running]")).to_be_visible()
    # A page that is loaded again shows the same run.
    await page.reload()
    await expect(page.locator("[data-node='research:read'][data-state=running]")).to_be_visible()
    await asyncio.to_thread(gate.touch)
    await expect(page.get_by_role("heading", name="Paused before report")).to_be_visible()
    await expect(page.locator("[data-node='research:note'][data-state=done]")).to_be_visible()
    await expect(page.locator("[data-node='report'][data-state=waiting]")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_text("Edit the state").click()
    state = page.get_by_role("textbox", name="State")
    await state.fill(json.dumps(json.loads(await state.input_value()) | {"notes": ["and one by hand"]}))
    await page.get_by_role("button", name="Change the state").click()
    await expect(page.get_by_text("The state is changed.")).to_be_visible()
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_text("Finished.")).to_be_visible()
    await expect(page.get_by_role("region", name="State")).to_contain_text("chairs: read, and one by hand")
    await page.set_viewport_size({"width": 375, "height": 800})
    assert await too_wide(page) == 0


async def test_an_agent_shows_its_graphs_their_subgraphs_and_schemas(looked, dev):
    page = looked.page
    await looked.open("/agents")
    await expect(page.get_by_role("region", name="Readiness")).to_contain_text("2 of 2 ready")
    runners = page.get_by_role("table", name="Runners of default").get_by_role("row")
    await expect(runners.filter(has_text="ready")).to_have_count(2)
    await expect(runners.last).to_contain_text("of 10")
    dev.running("relayrun_runner")[0].kill()
    await expect(page.get_by_text("unexpected death").first).to_be_visible()
    await page.get_by_text("unexpected death").first.click()
    await expect(page.get_by_role("listitem").filter(has_text="killed by signal 9").first).to_be_visible()
    await page.get_by_role("button", name="Draw fan").click()
    await expect(page.locator("[data-node='research:read']")).to_be_visible()
    await page.get_by_label("Subgraphs open").uncheck()
    await expect(page.locator("[data-node='research']")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("tab", name="Schemas").click()
    await expect(page.get_by_role("region", name="Input schema")).to_contain_text('"topics"')
    await page.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("tab")).to_have_count(0)


async def test_an_assistant_gets_a_new_version_and_goes_back_to_the_first(looked, dev):
    page = looked.page
    await looked.open("/assistants")
    await page.get_by_role("button", name="New assistant").click()
    new = page.get_by_role("dialog", name="New assistant")
    await new.get_by_label("Graph").select_option("refund")
    await new.get_by_label("Name").fill("Kind refunds")
    await new.get_by_role("button", name="Create").click()
    await page.get_by_label("Description").fill("Says yes.")
    await page.get_by_label("Config").fill('{"tags": ["kind"')
    await page.get_by_role("button", name="Save as a new version").click()
    await expect(page.get_by_label("Config")).to_be_focused()
    await page.get_by_label("Config").fill('{"tags": ["kind"]}')
    await page.get_by_role("button", name="Save as a new version").click()
    row = page.get_by_role("row", name="Kind refunds")
    await expect(row.get_by_role("cell", name="2", exact=True)).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("tab", name="Versions").click()
    await page.get_by_role("button", name="Use version 1").click()
    await expect(row.get_by_role("cell", name="1", exact=True)).to_be_visible()
    async with client_of(dev.url) as client:
        [found] = (await client.post("/assistants/search", json={"name": "Kind refunds"})).json()
        assert (found["version"], found["description"], found["config"]) == (1, None, {})
        await client.delete(f"/assistants/{found['assistant_id']}")


async def test_a_cron_is_made_paused_tested_and_deleted(looked):
    page = looked.page
    await looked.open("/crons")
    await page.get_by_role("button", name="New cron").click()
    await page.get_by_label("Assistant").select_option(label="chat")
    await page.get_by_label("Schedule").fill("every day")
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("schedule")
    await page.get_by_label("Schedule").fill("0 9 1 1 *")
    await expect(page.get_by_role("list", name="It would fire").get_by_role("listitem")).to_have_count(5)
    await page.get_by_role("button", name="JSON").click()
    await page.get_by_label("Input (JSON)").fill('{"messages": [{"role": "user", "content": "Good morning"}]}')
    await page.get_by_role("button", name="Create").click()
    row = page.get_by_role("row", name="0 9 1 1 *")
    await expect(row.get_by_role("time")).to_have_count(1)
    assert await violations(page) == []
    await row.get_by_text("And then").click()
    await expect(row.get_by_role("listitem").first).to_contain_text("9:00")
    await row.get_by_role("button", name="Pause").click()
    await expect(row).to_contain_text("paused")
    await row.get_by_role("button", name="Test").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Run")
    await expect(page.locator(".state-success").first).to_be_visible()
    await page.go_back()
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(row).to_have_count(0)


async def test_an_item_of_the_store_is_made_found_by_its_meaning_and_deleted(looked, dev):
    page = looked.page
    async with client_of(dev.url) as client:
        lamp = {"namespace": ["things", "lamp"], "key": "lamp", "value": {"text": "a lamp in the house"}}
        await client.put("/store/items", json=lamp)
    await looked.open("/store")
    await page.get_by_role("button", name="New item").click()
    await page.get_by_label("Namespace", exact=True).fill("langgraph")
    await page.get_by_label("Key").fill("tea")
    await page.get_by_label("Value").fill('{"text": "green tea"}')
    await page.get_by_role("button", name="Keep").click()
    await expect(page.get_by_role("alert")).to_contain_text("langgraph")
    await page.get_by_label("Namespace", exact=True).fill("things.drinks")
    await page.get_by_role("button", name="Keep").click()
    await page.get_by_label("Below the namespace").select_option("things")
    await page.get_by_label("About").fill("tea")
    await page.get_by_role("button", name="Search").click()
    rows = page.get_by_role("row")
    await expect(rows.nth(1)).to_contain_text("green tea")
    await expect(page.get_by_role("columnheader", name="Score")).to_be_visible()
    await expect(rows).to_have_count(3)
    assert await violations(page) == []
    await page.get_by_role("button", name="tea", exact=True).click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.get_by_role("button", name="Delete it for good").click()
    await expect(rows).to_have_count(2)
