"""Crons: kept and changed through the SDK, fired once each, over replicas and crashes."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from relayrun_api.services import Services
from relayrun_api.settings import ApiSettings
from relayrun_core.database import Database
from relayrun_core.db.cron_firing import fire_cron
from relayrun_core.db.crons import Cron, get_cron
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, RunSpec
from tests.api.access import HS256, as_admin, as_user, caller
from tests.api.cluster import Cluster
from tests.api.conftest import Api, opened, until_metrics_say
from tests.api.play import STEPS as STATE
from tests.api.play import Attempt, register
from tests.api.process import api_process
from tests.api.test_refusals import check_problem
from tests.support.waiting import eventually, until

FAR = datetime(2999, 1, 1)  # noqa: DTZ001 - the SDK takes one without a zone as well
# Not due while a test runs, unless it says so.
STEPS = {"assistant_id": "steps", "schedule": "@yearly", "input": {}}


async def make_due(database: Database, cron: Any = None, *, minutes: float = 1) -> None:
    """The cron, or each of them, has been due for so long."""
    due = "UPDATE crons SET next_run_at = now() - make_interval(secs => %s) WHERE cron_id = coalesce(%s, cron_id)"
    await database.execute(due, (minutes * 60, cron and UUID(cron["cron_id"])))


def wake(api: Api) -> None:
    """The API looks at what is due now, not only when it next would."""
    services: Services = api.app.state.services
    services.crons.news.set()


def forget_graphs(api: Api) -> None:
    """What the API knows of graphs is too old to go by."""
    services: Services = api.app.state.services
    services.catalog._read_at = float("-inf")


async def cron_of(api: Api, cron: Any) -> Cron:
    found = await get_cron(api.database, UUID(str(cron["cron_id"])))
    assert found is not None
    return found


async def runs_of(database: Database, **columns: Any) -> list[dict[str, Any]]:
    query = "SELECT run_id, thread_id, status, spec, owner FROM runs ORDER BY seq"
    return [row for row in await database.fetch_all(query) if all(row[name] == is_ for name, is_ in columns.items())]


async def fired(api: Api, cron: Any) -> Cron:
    """The cron, once it has fired or been refused, after having been due for a minute."""
    before = await cron_of(api, cron)
    await make_due(api.database, cron)
    wake(api)

    async def moved_on() -> Cron | None:
        now = await cron_of(api, cron)
        return now if now.revision > before.revision else None

    found = await eventually(moved_on)
    assert found is not None
    return found


# What is kept


async def test_every_method_of_the_sdk_works(api: Api) -> None:
    crons, thread = api.sdk.crons, await api.sdk.threads.create()
    options: dict[str, Any] = {
        "input": {"steps": ["a"]},
        "config": {"tags": ["t"], "configurable": {"k": 1}},
        "metadata": {"team": "a"},
        "interrupt_before": ["a"],
        "interrupt_after": "*",
        "stream_mode": ["values", "custom"],
        "stream_subgraphs": True,
        "stream_resumable": True,
        "durability": "exit",
        "multitask_strategy": "interrupt",
        "timezone": ZoneInfo("America/New_York"),
        "end_time": FAR,
    }
    made: Any = await crons.create_for_thread(thread["thread_id"], "steps", schedule="27 15 * * *", **options)
    assert (made["thread_id"], made["on_run_completed"], made["enabled"]) == (thread["thread_id"], None, True)
    assert (made["schedule"], made["timezone"]) == ("27 15 * * *", "America/New_York")
    assert (made["metadata"], made["end_time"]) == ({"team": "a"}, "2999-01-01T00:00:00+00:00")
    expected = {**options, "assistant_id": "steps", "interrupt_after": "*"}
    for own in ("timezone", "end_time", "stream_resumable"):
        del expected[own]
    assert made["payload"] == expected
    local = datetime.fromisoformat(made["next_run_date"]).astimezone(ZoneInfo("America/New_York"))
    assert (local.hour, local.minute) == (15, 27)

    alone: Any = await crons.create("steps", schedule="@daily", on_run_completed="keep", enabled=False)
    assert (alone["thread_id"], alone["on_run_completed"]) == (None, "keep")
    assert (alone["enabled"], alone["next_run_date"]) == (False, None)
    other: Any = await crons.create("talk", schedule="0 3 * * *")
    assert other["on_run_completed"] == "delete"

    assert await crons.count() == 3
    assert await crons.count(assistant_id=made["assistant_id"], metadata={"team": "a"}) == 1
    assert await crons.count(thread_id=thread["thread_id"]) == 1
    assert await crons.search(assistant_id="steps", enabled=False) == [alone]
    assert await crons.search(assistant_id="unknown") == []
    by_next = await crons.search(sort_by="next_run_date", sort_order="desc", select=["cron_id", "schedule"])
    assert by_next[-1] == {"cron_id": alone["cron_id"], "schedule": "@daily"}
    assert [cron["cron_id"] for cron in await crons.search(limit=1, offset=1)] == [alone["cron_id"]]

    updated = await crons.update(alone["cron_id"], enabled=True, metadata={"b": 2}, input={"x": 1}, webhook=None)
    assert (updated["enabled"], updated["metadata"], updated["payload"]["input"]) == (True, {"b": 2}, {"x": 1})
    await crons.delete(alone["cron_id"])
    with pytest.raises(NotFoundError):
        await crons.delete(alone["cron_id"])
    assert await crons.count() == 2


async def test_every_method_of_the_sdks_synchronous_client_works(api: Api) -> None:
    thread = (await api.sdk.threads.create())["thread_id"]

    def use() -> None:
        with get_sync_client(url=api.url, api_key=None) as sdk:
            made: Any = sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={})
            assert sdk.crons.search(thread_id=thread)[0]["cron_id"] == made["cron_id"]
            assert sdk.crons.update(made["cron_id"], timezone="Asia/Tokyo")["timezone"] == "Asia/Tokyo"
            alone: Any = sdk.crons.create("steps", schedule="* * * * *")
            assert sdk.crons.count() == 2
            for cron in (made, alone):
                sdk.crons.delete(cron["cron_id"])
            assert sdk.crons.count() == 0

    await asyncio.to_thread(use)


async def test_a_cron_is_read_by_its_id_and_a_thread_by_its_name(api: Api) -> None:
    await api.http.post("/threads", json={"thread_id": "diary"})
    made = (await api.http.post("/threads/diary/runs/crons", json=STEPS)).json()
    assert (await api.http.get(f"/runs/crons/{made['cron_id']}")).json() == made
    other = (await api.http.post("/runs/crons", json=STEPS)).json()
    for query, crons, total in (({"thread_id": "diary"}, [made], "1"), ({"limit": 1}, [other], "2")):
        found = await api.http.post("/runs/crons/search", json=query)
        assert (found.json(), found.headers["x-pagination-total"]) == (crons, total)
        assert ("x-pagination-next" in found.headers) == (total == "2")
    check_problem(await api.http.post("/threads/nobodys/runs/crons", json=STEPS), 422, "thread_not_found")
    check_problem(await api.http.get(f"/runs/crons/{uuid4()}"), 404, "cron_not_found")


async def test_an_update_changes_the_next_time_only_when_it_has_to(api: Api) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="0 0 1 1 *", metadata={"a": 1, "b": 1})
    path = f"/runs/crons/{made['cron_id']}"
    first = datetime.fromisoformat(made["next_run_date"])

    async def change(**body: Any) -> Any:
        return (await api.http.patch(path, json=body)).raise_for_status().json()

    zoned = await change(timezone="Asia/Tokyo")
    assert datetime.fromisoformat(zoned["next_run_date"]) == first - timedelta(hours=9)
    assert (await change(timezone=None))["next_run_date"] == made["next_run_date"]
    june = await change(schedule="0 0 1 6 *")
    assert datetime.fromisoformat(june["next_run_date"]).month == 6
    assert (await change(enabled=False))["next_run_date"] is None
    assert (await change(schedule="0 0 1 7 *"))["next_run_date"] is None
    july = await change(enabled=True, metadata={"b": 2})
    assert datetime.fromisoformat(july["next_run_date"]).month == 7
    assert july["metadata"] == july["payload"]["metadata"] == {"a": 1, "b": 2}
    assert (await change(end_time="2020-01-01T00:00:00Z"))["next_run_date"] is None
    assert (await change(end_time=None))["next_run_date"] == july["next_run_date"]
    # One that is due just now stays due, whatever else is said.
    await make_due(api.database, made, minutes=0)
    due = (await cron_of(api, made)).next_run_at
    assert due is not None
    kept = await change(schedule="0 0 1 7 *", input={"new": True}, end_time="2999-01-01T00:00:00Z")
    assert datetime.fromisoformat(kept["next_run_date"]) == due or kept["last_run_id"]


async def test_null_takes_away_what_the_run_was_given(api: Api) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="@yearly", input={"a": 1}, interrupt_before=["a"])
    body = {"input": None, "interrupt_before": None, "schedule": None, "enabled": None, "assistant_id": "talk"}
    changed = (await api.http.patch(f"/runs/crons/{made['cron_id']}", json=body)).json()
    assert changed["payload"] == {"assistant_id": "steps", "input": None, "interrupt_before": None}
    assert (changed["schedule"], changed["enabled"]) == ("@yearly", True)
    assert changed["next_run_date"] == made["next_run_date"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"schedule": "* * * * * *"}, "there is no field for seconds"),
    ({"schedule": "* * * *"}, "five fields"),
    ({"schedule": ""}, "five fields"),
    ({"schedule": "@reboot"}, "five fields"),
    ({"schedule": "61 * * * *"}, "bad minute"),
    ({"schedule": "*/0 * * * *"}, "bad minute"),
    ({"schedule": "0 0 31 2 *"}, "bad day-of-month"),
    ({"schedule": "0 0 */30 2 SUN#5"}, "never fires"),
    ({"schedule": "x" * 257}, "at most 256"),
    ({"schedule": 5}, 'not of type "string"'),
    ({"schedule": None}, 'not of type "string"'),
    ({"timezone": "Mars/Olympus"}, "unknown time zone"),
    ({"timezone": "../../etc/passwd"}, "unknown time zone"),
    ({"timezone": "America"}, "unknown time zone"),
    ({"timezone": "UTC+02:00"}, "unknown time zone"),
    ({"end_time": "soon"}, "valid datetime"),
    ({"end_time": "2020-01-01T00:00:00"}, "does not fire before"),
    ({"end_time": "9999-12-31T23:59:59-14:00"}, "year"),
    ({"end_time": 1e30}, "valid datetime"),
    ({"on_run_completed": "burn"}, "'delete' or 'keep'"),
    ({"enabled": "maybe"}, 'not of type "boolean"'),
    ({"enabled": "yes"}, 'not of type "boolean"'),
    ({"config": []}, "config"),
    ({"stream_mode": "psychic"}, "stream_mode"),
    ({"multitask_strategy": "hope"}, "multitask_strategy"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG, ids=lambda value: str(value)[:40])
async def test_what_cannot_be_right_is_422_with_a_sentence(shared: Api, wrong: dict[str, Any], says: str) -> None:
    problem = check_problem(await shared.http.post("/runs/crons", json={**STEPS, **wrong}), 422, "invalid_request")
    assert says in problem["detail"]
    assert await shared.sdk.crons.count() == 0


@pytest.mark.parametrize("name", ["unknown", "00000000-0000-0000-0000-000000000000"])
async def test_an_assistant_that_there_is_not_is_404(shared: Api, name: str) -> None:
    for path in ("/runs/crons", f"/threads/{(await shared.sdk.threads.create())['thread_id']}/runs/crons"):
        answer = await shared.http.post(path, json={**STEPS, "assistant_id": name})
        check_problem(answer, 404, "assistant_not_found")


async def test_a_change_that_cannot_be_right_changes_nothing(api: Api) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="@yearly")
    path = f"/runs/crons/{made['cron_id']}"
    for wrong in ({}, {"unknown": 1}, {"schedule": "x"}, {"timezone": "x"}, {"end_time": "x"}, {"metadata": 1}):
        check_problem(await api.http.patch(path, json=wrong), 422, "invalid_request")
    check_problem(await api.http.patch(path, json={"input": "x" * 70_000}), 413, "body_too_large")
    assert (await api.http.get(path)).json() == made
    check_problem(await api.http.post("/runs/crons", json={**STEPS, "input": "x" * 70_000}), 413, "body_too_large")
    with pytest.raises(UnprocessableEntityError):
        await api.sdk.crons.search(limit=1001)


async def test_a_webhook_that_would_not_be_called_is_refused_at_once(api: Api) -> None:
    called, not_called = "https://example.com/hook", "http://169.254.169.254/latest"
    check_problem(await api.http.post("/runs/crons", json={**STEPS, "webhook": not_called}), 422, "invalid_request")
    made: Any = await api.sdk.crons.create("steps", schedule="@yearly", webhook=called)
    with pytest.raises(UnprocessableEntityError):
        await api.sdk.crons.update(made["cron_id"], webhook=not_called)
    await fired(api, made)
    assert [run["spec"]["webhook"] for run in await runs_of(api.database)] == [called]


async def test_an_owner_has_so_many_crons_and_no_more(database_url: str) -> None:
    settings = ApiSettings(database_url=database_url, crons_per_owner=3, **HS256)
    async with opened(settings) as api, caller(api, as_user("alice")) as alice, caller(api, as_user("bob")) as bob:
        answers = await asyncio.gather(*(alice.post("/runs/crons", json=STEPS) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [409] * 9
        check_problem(await alice.post("/runs/crons", json=STEPS), 409, "too_many_crons")
        assert (await bob.post("/runs/crons", json=STEPS)).status_code == 200
        first = next(answer.json() for answer in answers if answer.is_success)
        await alice.delete(f"/runs/crons/{first['cron_id']}")
        assert (await alice.post("/runs/crons", json=STEPS)).status_code == 200


async def test_a_cron_of_an_admin_on_somebodys_thread_is_its_owners(database_url: str) -> None:
    async with (
        opened(ApiSettings(database_url=database_url, rate_limit=1, **HS256)) as api,
        caller(api, as_user("alice")) as alice,
        caller(api, as_admin()) as admin,
    ):
        thread = (await alice.post("/threads", json={})).json()["thread_id"]
        made = (await admin.post(f"/threads/{thread}/runs/crons", json=STEPS)).json()
        assert made["user_id"] == "alice"
        assert (await alice.get(f"/runs/crons/{made['cron_id']}")).json() == made
        # What it starts is hers too, and counts in nobody's rate limit.
        for _ in range(3):
            await fired(api, made)
        assert len(await runs_of(api.database, owner="alice")) == 3
        assert (await alice.post("/runs", json=STEPS)).headers["ratelimit"].startswith('"runs";r=0')


# What is fired


async def test_a_due_cron_starts_its_run_and_has_a_next_time(api: Api) -> None:
    made: Any = await api.sdk.crons.create(
        "steps",
        schedule="*/5 * 1 1 *",
        input={"steps": ["a"], "large": 1e308},
        config={"configurable": {"k": 1}, "recursion_limit": 7},
        metadata={"team": "a", "real": 1e300},
        stream_mode="updates",
        durability="async",
        interrupt_before=["a"],
        on_run_completed="keep",
    )
    cron = await fired(api, made)
    assert cron.next_run_at is not None
    assert cron.next_run_at > datetime.now(UTC)
    assert (cron.next_run_at.minute % 5, cron.refusal) == (0, None)
    (run,) = await runs_of(api.database)
    assert (run["run_id"], run["status"]) == (cron.last_run_id, "pending")
    spec = run["spec"]
    assert (spec["input"]["steps"], float(spec["input"]["large"])) == (["a"], 1e308)
    assert spec["config"]["configurable"] == {"k": 1, "cron_id": made["cron_id"]}
    assert (spec["config"]["recursion_limit"], spec["durability"]) == (7, "async")
    assert (spec["stream_modes"], spec["interrupt_before"]) == (["updates"], ["a"])
    assert (spec["metadata"]["team"], spec["metadata"]["cron_id"]) == ("a", made["cron_id"])
    assert spec["on_completion"] == "keep"
    threads = await api.sdk.threads.search(metadata={"cron_id": made["cron_id"], "team": "a", "graph_id": "steps"})
    assert [thread["thread_id"] for thread in threads] == [str(run["thread_id"])]
    await (await Attempt.begin(api.database, run["run_id"])).succeed({"steps": [1]})
    again = await fired(api, made)
    assert again.last_run_id != cron.last_run_id
    assert len({run["thread_id"] for run in await runs_of(api.database)}) == 2
    await until_metrics_say(api, 'relayrun_cron_fires_total{outcome="started"} 2.0')


async def test_however_many_times_were_missed_it_fires_once(api: Api) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="0 0 * * *")
    await make_due(api.database, minutes=3 * 24 * 60)
    wake(api)
    await eventually(lambda: runs_of(api.database))
    cron = await cron_of(api, made)
    assert cron.next_run_at is not None
    assert timedelta() < cron.next_run_at - datetime.now(UTC) <= timedelta(days=1)
    # By now it would have fired again, had it more to do.
    await fired(api, await api.sdk.crons.create("talk", schedule="@yearly"))
    assert len(await runs_of(api.database)) == 2
    assert (await cron_of(api, made)).last_run_id == cron.last_run_id


async def test_it_fires_when_it_is_due_and_not_when_somebody_looks(api: Api) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="@yearly")
    await make_due(api.database, minutes=-0.02)
    due = (await cron_of(api, made)).next_run_at
    wake(api)
    async with asyncio.timeout(9):  # less than the longest sleep
        while (last := (await cron_of(api, made)).last_run_at) is None:
            await asyncio.sleep(0.01)
    assert due is not None
    assert due <= last


async def test_on_a_busy_thread_the_strategy_decides(api: Api) -> None:
    thread = (await api.sdk.threads.create())["thread_id"]
    busy = await api.sdk.runs.create(thread, "steps", input={})
    options: dict[str, Any] = {"schedule": "@yearly", "input": {}}
    rejects: Any = await api.sdk.crons.create_for_thread(thread, "steps", multitask_strategy="reject", **options)
    refused = await fired(api, rejects)
    assert (refused.last_run_id, refused.last_run_at) == (None, None)
    assert refused.refusal is not None
    assert "already running a task" in refused.refusal
    assert refused.next_run_at is not None
    await api.sdk.crons.delete(rejects["cron_id"])
    waits: Any = await api.sdk.crons.create_for_thread(thread, "steps", **options)
    assert (await fired(api, waits)).refusal is None
    await api.sdk.crons.delete(waits["cron_id"])
    await Attempt.begin(api.database, busy["run_id"])
    cuts: Any = await api.sdk.crons.create_for_thread(thread, "steps", multitask_strategy="interrupt", **options)
    await fired(api, cuts)
    row = await api.database.fetch_one("SELECT cancel_action FROM runs WHERE run_id = %s", (busy["run_id"],))
    assert row == {"cancel_action": "interrupt"}
    assert len(await runs_of(api.database)) == 3
    await until_metrics_say(api, 'relayrun_cron_fires_total{outcome="busy"} 1.0')
    await until_metrics_say(api, 'relayrun_cron_fires_total{outcome="started"} 2.0')


async def test_a_cron_whose_graph_is_gone_says_so_once_and_tries_again(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="@yearly")
    gone = "UPDATE graphs SET graph = 'renamed' WHERE graph = 'steps'"
    await api.database.execute(gone)
    forget_graphs(api)
    with caplog.at_level(logging.WARNING, "relayrun.api.crons"):
        for _ in range(3):
            refused = await fired(api, made)
            assert refused.refusal is not None
            assert "Invalid assistant: 'steps'" in refused.refusal
            assert refused.next_run_at is not None
            assert refused.next_run_at > datetime.now(UTC)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["a cron started no run"]
    shown: Any = await api.sdk.crons.search()
    assert shown[0]["refusal"] == refused.refusal
    await api.database.execute("UPDATE graphs SET graph = 'steps' WHERE graph = 'renamed'")
    forget_graphs(api)
    back = await fired(api, made)
    assert back.refusal is None
    assert back.last_run_id is not None


async def test_before_any_graph_is_registered_crons_stay_due(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="@yearly")
    await api.database.execute("DELETE FROM graphs")
    forget_graphs(api)
    await make_due(api.database)
    before = await cron_of(api, made)
    with caplog.at_level(logging.INFO, "relayrun.api.crons"):
        wake(api)
        await until(lambda: "it fires a moment later" in caplog.text)
    assert await cron_of(api, made) == before
    await register(api.database, "steps", STATE)
    forget_graphs(api)
    await eventually(lambda: runs_of(api.database))


async def test_with_its_thread_a_cron_is_deleted(api: Api) -> None:
    thread = (await api.sdk.threads.create())["thread_id"]
    await api.sdk.crons.create_for_thread(thread, "steps", schedule="@yearly")
    await api.sdk.threads.delete(thread)
    assert await api.sdk.crons.count() == 0


async def test_a_thread_is_deleted_while_its_crons_fire(api: Api) -> None:
    """Neither waits for the other for ever: both take the thread's lock first."""
    for _ in range(5):
        thread = (await api.sdk.threads.create())["thread_id"]
        for _ in range(5):
            await api.sdk.crons.create_for_thread(thread, "steps", schedule="@yearly", multitask_strategy="reject")
        await make_due(api.database)
        wake(api)
        async with asyncio.timeout(60):
            while (await api.http.delete(f"/threads/{thread}")).status_code == 409:  # its run has begun to wait
                runs = await api.sdk.runs.list(thread, status="pending")
                for run in runs:
                    await api.sdk.runs.cancel(thread, run["run_id"])
        assert await api.sdk.crons.count() == 0


async def test_past_its_end_a_cron_does_not_fire(api: Api) -> None:
    ends: Any = await api.sdk.crons.create("steps", schedule="@yearly", end_time=FAR)
    await api.database.execute("UPDATE crons SET end_time = now() - interval '1 second'")
    over = await fired(api, ends)
    assert (over.next_run_at, over.last_run_id, over.enabled) == (None, None, True)
    # The last one before the end does.
    last: Any = await api.sdk.crons.create("steps", schedule="@yearly", end_time=FAR)
    soon = "UPDATE crons SET end_time = now() + interval '1 hour' WHERE cron_id = %s"
    await api.database.execute(soon, (last["cron_id"],))
    over = await fired(api, last)
    assert over.next_run_at is None
    assert over.last_run_id is not None


async def test_a_cron_that_changed_since_it_was_read_does_not_fire_as_it_was(api: Api) -> None:
    made: Any = await api.sdk.crons.create("steps", schedule="@yearly")
    old = await cron_of(api, made)
    await api.sdk.crons.update(made["cron_id"], input={"new": True})
    run: Any = await api.sdk.runs.create(None, "steps")
    new = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec())
    assert await fire_cron(api.database, old, new, None) is None
    assert [entry["run_id"] for entry in await runs_of(api.database)] == [UUID(run["run_id"])]


async def test_one_that_cannot_be_fired_holds_up_no_other(api: Api) -> None:
    broken: Any = await api.sdk.crons.create("steps", schedule="@yearly")
    await api.database.execute("UPDATE crons SET timezone = 'Moved/Away'")
    sound: Any = await api.sdk.crons.create("steps", schedule="@yearly")
    await make_due(api.database, broken)
    assert (await fired(api, sound)).last_run_id is not None
    stuck = await eventually(lambda: refused(api, broken))
    assert stuck is not None
    assert stuck.refusal is not None
    assert "ZoneInfoNotFoundError" in stuck.refusal
    assert stuck.next_run_at is not None
    assert stuck.next_run_at > datetime.now(UTC) + timedelta(minutes=50)


async def refused(api: Api, cron: Any) -> Cron | None:
    now = await cron_of(api, cron)
    return now if now.refusal else None


# Replicas and crashes


async def test_two_replicas_fire_twenty_due_crons_once_each(database_url: str, settings: ApiSettings) -> None:
    async with opened(settings) as api:
        thread = (await api.sdk.threads.create())["thread_id"]
        for number in range(20):
            metadata = {"number": number}
            if number % 2:
                await api.sdk.crons.create("steps", schedule="@yearly", metadata=metadata)
            else:
                await api.sdk.crons.create_for_thread(thread, "steps", schedule="@yearly", metadata=metadata)
    async with Database.open(database_url, role="world") as database, AsyncExitStack() as stack:
        await make_due(database)
        await database.execute(SLOW)
        await database.execute("CREATE TRIGGER slow BEFORE UPDATE ON crons FOR EACH ROW EXECUTE FUNCTION slow()")
        async with database.connection() as gate:
            await gate.execute("SET idle_in_transaction_session_timeout = 0")
            async with gate.transaction():
                await gate.execute("LOCK TABLE crons IN ACCESS EXCLUSIVE MODE")
                starting = [stack.enter_async_context(api_process(database_url)) for _ in range(2)]
                replicas = await asyncio.gather(*starting)
                await eventually(lambda: waiting_for_locks(database, 2))
            # Now both look at once.
        await eventually(lambda: all_moved_on(database))
        started: list[float] = []

        async def all_counted() -> bool:
            async with httpx.AsyncClient() as http:
                metrics = [(await http.get(f"{replica.url}/metrics")).text for replica in replicas]
            counts = [re.findall(r'cron_fires_total{outcome="started"} (.*)', text) for text in metrics]
            started[:] = [float(count) for found in counts for count in found]
            return sum(started) >= 20

        await eventually(all_counted)  # a moment after what they count can be seen
        numbers = [run["spec"]["metadata"]["number"] for run in await runs_of(database)]
    assert sorted(numbers) == list(range(20))
    assert sum(started) == 20
    assert (len(started), min(started) > 0) == (2, True), "one was too late to try"


# A twentieth of a second for each: time for the other to come.
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.05);
    RETURN NEW;
END $$;
"""
SESSIONS = """
SELECT count(*) AS number FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'relayrun-api'"""


async def waiting_for_locks(database: Database, number: int) -> bool:
    row = await database.fetch_one(f"{SESSIONS} AND wait_event_type = 'Lock'")
    return row == {"number": number}


async def all_moved_on(database: Database) -> bool:
    row = await database.fetch_one("SELECT bool_and(next_run_at > now()) AS moved_on FROM crons")
    return row == {"moved_on": True}


BLOCKED = """
CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT pg_try_advisory_xact_lock(4711) LOOP PERFORM pg_sleep(0.01); END LOOP;
    RETURN NEW;
END $$;
"""
BEFORE_THE_NEXT_TIME = "CREATE TRIGGER wait BEFORE UPDATE ON crons FOR EACH ROW EXECUTE FUNCTION wait_here()"
IN_THE_COMMIT = """
CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON crons DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wait_here()"""


@pytest.mark.crash
@pytest.mark.parametrize(
    ("place", "kept"), [(BEFORE_THE_NEXT_TIME, 0), (IN_THE_COMMIT, 1)], ids=["between the steps", "in the commit"]
)
async def test_kill_9_between_the_steps_fires_it_once(
    database_url: str, place: str, kept: int, settings: ApiSettings
) -> None:
    """The process is killed while its transaction stands still, which then commits or does not: either is whole."""
    async with opened(settings) as api:
        await api.sdk.crons.create("steps", schedule="@yearly")
    async with Database.open(database_url, role="world") as database, AsyncExitStack() as stack:
        await database.execute(BLOCKED)
        await database.execute(place)
        holder = await stack.enter_async_context(database.connection())
        await holder.execute("SELECT pg_advisory_lock(4711)")
        await make_due_past_the_trigger(database)

        async def waits() -> bool:
            row = await database.fetch_one(f"{SESSIONS} AND wait_event = 'PgSleep'")
            return row == {"number": 1}

        async with api_process(database_url) as killed:
            await eventually(waits)
            killed.process.kill()
            await killed.process.wait()
        await holder.execute("SELECT pg_advisory_unlock(4711)")

        async def over() -> bool:
            return await database.fetch_one(SESSIONS) == {"number": 0}

        await eventually(over)
        assert len(await runs_of(database)) == kept
        async with api_process(database_url):
            await eventually(lambda: all_moved_on(database))
        assert len(await runs_of(database)) == 1


async def make_due_past_the_trigger(database: Database) -> None:
    """As `make_due`, without the trigger that stops whoever fires."""
    async with database.connection() as conn, conn.transaction():
        await conn.execute("ALTER TABLE crons DISABLE TRIGGER wait")
        await conn.execute("UPDATE crons SET next_run_at = now() - interval '1 minute'")
        await conn.execute("ALTER TABLE crons ENABLE TRIGGER wait")


async def test_in_a_cluster_the_run_becomes_an_agentrun(cluster: Cluster, clustered: Api) -> None:
    made: Any = await clustered.sdk.crons.create("steps", schedule="@yearly", input={"secret": 1})
    run_id = (await fired(clustered, made)).last_run_id

    async def there() -> dict[str, Any] | None:
        return cluster.runs.get(f"run-{run_id}")

    found = await eventually(there)
    assert found is not None
    assert (found["spec"]["runId"], "input" in found["spec"]) == (str(run_id), False)
    (run,) = await runs_of(clustered.database)
    assert run["spec"]["active_deadline_seconds"] == 77  # the Agent's own
