"""The console in a real browser, against `relayrun dev`: runs, a run, threads, and whom it lets in."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from pathlib import Path

import httpx
import jwt
import psutil
import pytest
from playwright.async_api import expect

from relayrun_api import console
from relayrun_core.database import Database
from relayrun_core.db.keys import create_key
from tests.console.issuer import CLIENT, issuing
from tests.console.looking import finished, looking, start, too_wide, violations
from tests.examples.visiting import SECRET, asking_for_tokens
from tests.support.dev import Dev, name_of
from tests.support.reading import client_of
from tests.support.waiting import until, until_it_is

# The first test pays for installing, building and starting everything; the others for a second or two.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FIRST_PAGE_BYTES = 350_000


async def _set_gate(gate: Path) -> None:
    await asyncio.to_thread(gate.touch)


async def test_the_first_page_is_small(looked):
    index = (console.STATIC / "index.html").read_text()
    files = re.findall(r'(?:src|href)="/console/(assets/[^"]+)"', index)
    assert any(name.endswith(".js") for name in files)
    size = sum(len(gzip.compress((console.STATIC / name).read_bytes())) for name in files)
    assert size < FIRST_PAGE_BYTES


async def test_runs_are_filtered_in_the_address_and_several_are_cancelled_and_retried(looked, dev, tmp_path):
    page, about = looked.page, {"metadata": {"ticket": "T-4711"}}
    gate = tmp_path / "gate"
    done = await finished(dev.url, "fan", {}, **about)
    held = [await start(dev.url, "fan", {"gate": str(gate)}, **about) for _ in range(2)]
    await looked.open("/runs")
    rows = page.locator("tbody tr")
    await page.get_by_label("Metadata or ids").fill("T-4711")
    await expect(rows).to_have_count(3)
    await page.get_by_role("button", name="success", exact=True).click()
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"status=.*success.*text=T-4711|text=T-4711.*status=.*success"))
    await page.get_by_label("Accepted").select_option("Between two times")
    await page.get_by_label("To", exact=True).fill("2020-01-01T00:00")
    await expect(page.get_by_text("No run fits these filters.")).to_be_visible()
    await page.get_by_label("To", exact=True).fill("")
    await page.get_by_label("From", exact=True).fill("2020-01-01T00:00")
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"from="))
    await page.reload()
    await expect(rows).to_have_count(1)
    await expect(rows.get_by_role("link").first).to_have_text(done[1][-8:])
    await page.get_by_role("button", name="success", exact=True).click()
    for _, run in held:
        await page.get_by_label(f"Choose run {run}").check()
    await page.get_by_role("button", name="Cancel 2").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Cancel 2 runs").click()
    await expect(rows.locator(".state", has_text="cancelled")).to_have_count(2)
    await _set_gate(gate)
    await page.get_by_label(f"Choose run {held[0][1]}").check()
    await page.get_by_role("button", name="Retry 1").click()
    await expect(rows).to_have_count(4)
    await expect(rows.locator(".state", has_text="success")).to_have_count(2)


async def test_a_watched_run_goes_on_when_its_runner_and_the_api_are_killed(looked, dev, tmp_path):
    page, gate = looked.page, tmp_path / "gate"
    thread, run = await start(dev.url, "fan", {"gate": str(gate)}, stream_mode=["tasks", "updates"])
    await looked.open(f"/threads/{thread}/runs/{run}")
    timeline = page.get_by_role("list", name="Timeline")
    # Steps beside each other: each has a row of its own.
    await expect(timeline.get_by_role("button", name="research")).to_have_count(3)
    await expect(timeline).to_contain_text("Attempt 1")
    (await holder(dev, thread, run)).kill()
    await expect(timeline).to_contain_text("Attempt 2")
    await expect(timeline).to_contain_text("lost")
    [api] = dev.running("relayrun_api")
    api.kill()
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_have_count(0)
    await _set_gate(gate)
    await expect(page.locator(".page-head").get_by_text("success")).to_be_visible()
    await timeline.get_by_role("button", name="report").click()
    step = page.get_by_role("region", name="Step report")
    await step.get_by_role("tab", name="Difference").click()
    await expect(step).to_contain_text("lamps: read, chairs: read, tables: read")
    await page.get_by_role("tab", name="Events").click()
    await expect(page.get_by_role("region", name="Events")).to_contain_text("updates")


async def test_a_step_ends_when_it_is_done_and_not_when_those_beside_it_are(looked, dev, tmp_path):
    page, gate = looked.page, tmp_path / "gate"
    about = {"gate": str(gate), "hold": "chairs"}
    thread, run = await start(dev.url, "fan", about, stream_mode=["tasks"])
    await looked.open(f"/threads/{thread}/runs/{run}")
    timeline = page.get_by_role("list", name="Timeline")
    research = timeline.get_by_role("listitem").filter(has=page.get_by_role("button", name="research"))
    await expect(research).to_have_count(3)
    await expect(research.locator(".bar:not([data-open])")).to_have_count(2)
    await expect(research.locator(".bar[data-open]")).to_have_count(1)
    await _set_gate(gate)
    await expect(page.locator(".page-head").get_by_text("success")).to_be_visible()
    await expect(research.locator(".bar:not([data-open])")).to_have_count(3)


async def test_of_steps_beside_each_other_the_one_that_failed_is_red(looked, dev):
    page = looked.page
    thread, _ = await finished(dev.url, "fan", {"topics": ["lamps"]})
    async with client_of(dev.url) as client:
        again = {"assistant_id": "fan", "input": {"topics": ["lamps", "chairs"], "fail": "chairs"}}
        run = (await client.post(f"/threads/{thread}/runs", json=again)).json()["run_id"]
        await client.get(f"/threads/{thread}/runs/{run}/join")
    await looked.open(f"/threads/{thread}/runs/{run}")
    timeline = page.get_by_role("list", name="Timeline")
    await expect(timeline.locator(".bar-failed")).to_have_count(1)
    await page.get_by_role("tab", name="Events").click()
    events = page.get_by_role("region", name="Events")
    # The thread's second run, at its first attempt.
    await expect(events.get_by_role("button").first).to_contain_text("#1")
    await expect(events.get_by_role("button").first).to_contain_text("+0 ms")


async def test_runs_behind_the_loaded_ones_are_chosen_too(looked, dev):
    page = looked.page
    later = {"assistant_id": "chat", "input": {}, "after_seconds": 3600, "on_completion": "keep"}
    async with client_of(dev.url) as client:
        made = await client.post("/runs/batch", json=[later | {"metadata": {"ticket": "T-0815"}}] * 60)
        assert made.is_success, made.text
    await looked.open("/runs?text=T-0815")
    await expect(page.locator("tbody tr")).to_have_count(50)
    await page.get_by_label("Choose all runs shown").check()
    chosen = page.get_by_role("group", name="The chosen runs")
    await expect(chosen).to_contain_text("50 runs chosen")
    await chosen.get_by_role("button", name="Choose all that fit, older ones too").click()
    await expect(chosen).to_contain_text("60 runs chosen")
    await chosen.get_by_role("button", name="Cancel 60").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Cancel 60 runs").click()
    await expect(page.get_by_text("Cancelled 60 runs.")).to_be_visible()
    async with client_of(dev.url) as client:
        found = (await client.post("/runs/search", json={"text": "T-0815", "limit": 200})).json()["runs"]
    assert [run["state"] for run in found] == ["cancelled"] * 60


async def test_an_api_that_says_nothing_is_taken_for_away(looked, dev):
    """As one whose machine has gone: the connection is there, and no answer comes."""
    page = looked.page
    await page.clock.install()
    await finished(dev.url, "fan", {})
    await looked.open("/runs")
    await expect(page.locator("tbody tr").first).to_be_visible()
    lost = page.get_by_text("Connection lost. Reconnecting…")
    await page.route("**/runs/search", lambda route: None)

    async def is_told() -> bool:
        await page.clock.fast_forward(16_000)
        return await lost.is_visible()

    await until_it_is(is_told)
    await page.unroute("**/runs/search")
    await expect(lost).to_have_count(0)


async def test_a_person_approves_and_forks_with_another_state(looked, dev):
    page = looked.page
    thread, run = await finished(dev.url, "refund", {"order": "4711"})
    await looked.open(f"/threads/{thread}/runs/{run}")
    await expect(page.get_by_text("Waits for a person")).to_be_visible()
    await expect(page.get_by_role("navigation").locator("[aria-current=page]")).to_have_text("Runs")
    await page.get_by_role("link", name="Answer").click()
    question = page.locator(".question")
    await expect(question).to_contain_text("Refund 42.00 EUR for order 4711?")
    await question.get_by_label("Approve").check()
    await question.get_by_role("button", name="Send the answer").click()
    await looked.open(f"/threads/{thread}?tab=State")
    await expect(page.get_by_role("region", name="State")).to_contain_text("Refunded.")
    await expect(page.get_by_role("region", name="About the thread")).to_contain_text("5 checkpoints, ")
    # Before the approval, with another amount: the question is asked again, and the history has two branches.
    await page.get_by_role("tab", name="History").click()
    await page.get_by_role("button", name="then approve").click()
    await page.get_by_role("button", name="Fork from here").click()
    state = page.get_by_role("dialog").get_by_label("State")
    await state.fill((await state.input_value()).replace("42", "7"))
    await page.get_by_role("button", name="Fork and run").click()
    await expect(page).to_have_url(re.compile(r"/runs/"))
    await expect(page.get_by_text("Waits for a person")).to_be_visible()
    await looked.open(f"/threads/{thread}?tab=History")
    await expect(page.get_by_role("list", name="History").get_by_role("button", name="then approve")).to_have_count(2)
    async with client_of(dev.url) as client:
        values = (await client.get(f"/threads/{thread}/state")).json()["values"]
        assert values["amount"] == 7
        assert "told" not in values
        # Deleted while somebody looks at it.
        (await client.delete(f"/threads/{thread}")).raise_for_status()
    await expect(page.get_by_text("There is no such thread.")).to_be_visible()
    await expect(page.get_by_text("Reconnecting")).to_have_count(0)


HOSTILE = """<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>
[a link](javascript:window.pwned=1) ![an image](https://tracker.example/p.png) <https://ok.example/>

| `a` | b |
|---|---|
| <svg onload=window.pwned=1> | **bold** |"""


async def test_what_people_and_models_write_is_text(looked, dev):
    page = looked.page
    said = {"messages": [{"role": "user", "content": HOSTILE}]}
    about = {"<img src=x onerror=window.pwned=1>": HOSTILE}
    modes = ["values", "messages-tuple"]
    thread, run = await finished(dev.url, "chat", said, metadata=about, about=about, stream_mode=modes)
    asks, asking = await finished(dev.url, "refund", {"order": HOSTILE})
    await looked.open(f"/threads/{thread}")
    conversation = page.get_by_role("list", name="Conversation")
    await expect(conversation.locator("strong")).to_have_count(2)  # the question and its echo
    await expect(conversation.get_by_text("<script>")).to_have_count(2)
    links = await conversation.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
    assert set(links) == {"https://tracker.example/p.png", "https://ok.example/"}
    assert await conversation.locator("img, script, svg").count() == 0
    for path, shown in (
        (f"/threads/{thread}?tab=State", "onerror"),
        (f"/threads/{thread}/runs/{run}?tab=Events", "messages"),
        ("/threads", "onerror"),
        (f"/threads/{asks}/runs/{asking}", "Waits for a person"),
    ):
        await looked.open(path)
        await expect(page.locator("main")).to_contain_text(shown)
    await page.get_by_role("link", name="Answer").click()
    await expect(page.locator(".question")).to_contain_text("onerror")
    assert await page.evaluate("window.pwned") is None


PAGES = ("/runs", "/inbox", "/agents", "/playground", "/threads", "/assistants", "/crons", "/store", "/keys", "/status")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_are_accessible_and_fit_a_telephone(browser, dev, scheme):
    thread, run = await finished(dev.url, "chat", {"messages": [{"role": "user", "content": "Hello"}]})
    paths = [*PAGES, f"/threads/{thread}/runs/{run}", f"/threads/{thread}/runs/{run}?tab=Events"]
    paths += [f"/threads/{thread}", f"/threads/{thread}?tab=History", f"/threads/{thread}?tab=Runs"]
    # What no page understands is as if it were not there.
    paths += ["/runs?within=soon&from=yesterday&status=%5B%22x%22%5D", f"/runs/{thread}/{run}?tab=Nothing"]
    wrong = []
    async with looking(browser, dev.url, viewport={"width": 375, "height": 740}, color_scheme=scheme) as looked:
        for path in paths:
            await looked.open(path)
            await expect(looked.page.get_by_role("heading", level=1)).to_be_visible()
            await expect(looked.page.locator(".loading")).to_have_count(0)
            wrong += [f"{path}: {sentence}" for sentence in await violations(looked.page)]
            if wider := await too_wide(looked.page):
                wrong.append(f"{path}: {wider} px wider than the window")
        await looked.page.get_by_role("button", name="Menu").click()
        await looked.page.get_by_label("Theme").select_option("Light" if scheme == "dark" else "Dark")
        await expect(looked.page.locator("html")).to_have_css("color-scheme", "light" if scheme == "dark" else "dark")
        wrong += await violations(looked.page)
    assert not wrong, "\n".join(wrong)


async def test_a_token_is_asked_for_and_stays_in_the_tab(browser, dev, dev_database):
    async with asking_for_tokens(dev, dev_database, dev.url) as url, looking(browser, url) as looked:
        page = looked.page
        await looked.open("/status")
        await page.get_by_label("Token").fill("not a token")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        assert not await violations(page)
        await page.get_by_label("Token").fill(jwt.encode({"sub": "alice", "exp": time.time() + 300}, SECRET))
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Status")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", name="Status")).to_be_visible()
        assert await page.evaluate("localStorage.length + document.cookie.length") == 0
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
        await page.reload()
        await expect(page.get_by_label("Token")).to_be_visible()


async def test_an_admin_signs_in_with_a_key_makes_another_and_revokes_it(browser, dev, dev_database):
    async with Database.open(dev_database, role="api") as database:
        admin, _ = await create_key(database, "root", admin=True)
    wanted = {"auth": "api-key", "jwt_secret": None}
    async with asking_for_tokens(dev, dev_database, dev.url, **wanted) as url, looking(browser, url) as looked:
        page = looked.page
        await looked.open("/keys")
        await page.get_by_label("API key").fill("no key")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.get_by_label("API key").fill(admin)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="New key").click()
        await page.get_by_label("Owner").fill("<b>alice</b>")
        await page.get_by_label("What it is for").fill("<img src=x onerror=window.pwned=1>")
        assert not await violations(page)
        await page.get_by_role("button", name="Create key").click()
        made = page.get_by_role("dialog").locator("code")
        await expect(made).to_be_visible()
        assert not await violations(page)
        async with httpx.AsyncClient(base_url=url, headers={"X-Api-Key": await made.inner_text()}) as alice:
            await page.get_by_role("button", name="Done").click()
            row = page.get_by_role("row", name="<b>alice</b>")
            await expect(row).to_contain_text("<img src=x onerror=window.pwned=1>")
            assert (await alice.post("/threads/search", json={})).json() == []
            assert not await violations(page)
            await row.get_by_role("button", name="Revoke").click()
            await page.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
            await expect(row).to_contain_text("revoked")
        await page.set_viewport_size({"width": 375, "height": 740})
        assert await too_wide(page) == 0
        assert await page.evaluate("window.pwned") is None


async def test_somebody_signs_in_at_the_openid_provider(browser, dev, dev_database):
    async with issuing(SECRET) as issuer:
        oidc = {"oidc_issuer": issuer.url, "oidc_client_id": CLIENT}
        async with (
            asking_for_tokens(dev, dev_database, dev.url, **oidc) as url,
            looking(browser, url, issuer.url, issuer.tokens) as looked,
        ):
            page = looked.page
            await looked.open("/threads?status=idle")
            await page.get_by_role("button", name="Sign in with").click()
            await expect(page.get_by_role("heading", name="Threads")).to_be_visible()
            await expect(page).to_have_url(f"{url}/console/threads?status=idle")
            await until(lambda: issuer.renewed == 1)
            await page.reload()
            await expect(page.get_by_text("There are no such threads.")).to_be_visible()  # for it is Alice's list
            assert issuer.renewed == 1
            # A code that was not asked for from this tab signs nobody in.
            await page.get_by_role("button", name="Sign out").click()
            await looked.open("/signed-in?code=stolen&state=guessed")
            await expect(page.get_by_role("alert")).to_contain_text("not begun in this tab")


async def holder(dev: Dev, thread: str, run: str) -> psutil.Process:
    """The runner that executes a run."""
    async with client_of(dev.url) as client:
        name = (await client.get(f"/threads/{thread}/runs/{run}")).json()["runner"]
    return next(runner for runner in dev.running("relayrun_runner") if name_of(runner) == name)
