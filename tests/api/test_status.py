"""`/status`: what the reports of runners about language models come to, and who is told why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from relayrun_api.services import Services
from relayrun_api.settings import ApiSettings
from relayrun_api.system.status import Health, StatusService, llm_check, no_cluster
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.agents import LlmReport, LlmVerdict, report_llm
from tests.api.access import HS256, as_admin, as_user
from tests.api.conftest import Api, opened
from tests.support.postgres import fresh_database
from tests.support.runner import free_port

WRONG_KEY = "401 from https://llm.example/v1: check its key"
SILENT = "no answer from https://other.example within 2 s"


def report(agent: str, endpoint: str, reason: str | None = None, runners: int = 1, age: float = 1.0) -> LlmReport:
    return LlmReport(agent, endpoint, reason, runners, age)


@pytest.mark.parametrize(
    ("reports", "status", "more"),
    [
        ([], Health.DISABLED, {"reason": "no runner has reported an endpoint"}),
        ([report("a", "x", age=12.4)], Health.OK, {"checked_seconds_ago": 12}),
        (
            [report("support", "x", WRONG_KEY, age=3)],
            Health.DOWN,
            {"checked_seconds_ago": 3, "reason": f"agent support: {WRONG_KEY}"},
        ),
        (
            [report("a", "x"), report("b", "x", WRONG_KEY), report("b", "y", SILENT)],
            Health.DEGRADED,
            {"checked_seconds_ago": 1, "reason": f"agent b: {WRONG_KEY}; agent b: {SILENT}"},
        ),
        # Runners of one agent see different things, the first of them has not told anything for long.
        (
            [report("a", "x", SILENT, 1, age=70), report("a", "x", None, 2, age=5), report("a", "y", None, 3, age=20)],
            Health.DEGRADED,
            {"checked_seconds_ago": 20, "reason": f"agent a: {SILENT} (on 1 of 3 runners)"},
        ),
        (
            [report("a", "x", SILENT, 1), report("a", "x", WRONG_KEY, 2)],
            Health.DOWN,
            {
                "checked_seconds_ago": 1,
                "reason": f"agent a: {SILENT} (on 1 of 3 runners); agent a: {WRONG_KEY} (on 2 of 3 runners)",
            },
        ),
    ],
)
def test_reports_become_one_check(reports: list[LlmReport], status: Health, more: dict[str, Any]) -> None:
    check = llm_check(reports)
    assert (check.status, check.more) == (status, more)


def test_a_gateway_that_is_down_for_every_agent_is_told_a_few_times() -> None:
    reason = llm_check([report(f"agent-{number}", "x", SILENT) for number in range(40)]).more["reason"]
    assert reason.count(SILENT) == 5
    assert reason.endswith("; and 35 more")


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """An API that checks tokens, and whose one runner is ready."""
    runners = tmp_path_factory.mktemp("status") / "runners.json"
    runner = {"name": "default-0", "url": "http://127.0.0.1:1", "agent": "default", "graphs": [], "ready": True}
    runners.write_bytes(orjson.dumps({"runners": [runner], "desired": 1, "problems": []}))
    async with (
        fresh_database(postgres) as url,
        opened(ApiSettings(database_url=url, runners_file=Path(runners), **HS256)) as api,
    ):
        yield api


@pytest.fixture
async def silent(guarded: Api) -> Api:
    """The same API, before anything is reported."""
    await guarded.database.execute("DELETE FROM llm_reports")
    return guarded


async def told_of_now(api: Api, headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The same of a report that was made in this test, without its age."""
    whole, check = await told(api, headers)
    assert 0 <= check.pop("checked_seconds_ago") < 60
    return whole, check


async def told(api: Api, headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    response = await api.http.get("/status", headers=headers)
    assert response.status_code == 200
    body = response.json()
    return body["status"], body["checks"]["llm"]


async def says(api: Api, holder: UUID, *verdicts: LlmVerdict, seconds: float = 60) -> None:
    await report_llm(api.database, agent="default", holder=holder, verdicts=verdicts, good_for_seconds=seconds)


async def test_a_model_that_is_down_degrades_the_whole_and_admins_are_told_why(silent: Api) -> None:
    holder = uuid4()
    admin, user = as_admin(), as_user("alice")
    assert await told(silent, user) == ("ok", {"status": "disabled"})
    await says(silent, holder, LlmVerdict("x"), LlmVerdict("y"))
    assert await told_of_now(silent, admin) == ("ok", {"status": "ok"})
    await says(silent, holder, LlmVerdict("x"), LlmVerdict("y", WRONG_KEY))
    whole, check = await told(silent, admin)
    assert (whole, check["status"]) == ("degraded", "degraded")
    await says(silent, holder, LlmVerdict("x", SILENT), LlmVerdict("y", WRONG_KEY))
    why = f"agent default: {SILENT}; agent default: {WRONG_KEY}"
    assert await told_of_now(silent, admin) == ("degraded", {"status": "down", "reason": why})
    assert await told_of_now(silent, user) == ("degraded", {"status": "down"})
    assert (await silent.http.get("/status")).json() == {"status": "degraded"}


async def test_a_runner_that_has_gone_silent_is_forgotten(silent: Api) -> None:
    await says(silent, uuid4(), LlmVerdict("x", SILENT), seconds=0)
    _, check = await told(silent, as_admin())
    assert check == {"status": "disabled", "reason": "no runner has reported an endpoint"}


async def test_the_age_is_that_of_the_report(silent: Api) -> None:
    await says(silent, uuid4(), LlmVerdict("x"))
    await silent.database.execute("UPDATE llm_reports SET checked_at = checked_at - interval '40 seconds'")
    _, check = await told(silent, as_user("alice"))
    assert check["checked_seconds_ago"] in range(40, 60)


async def test_without_a_database_nothing_is_said_of_models(silent: Api) -> None:
    services: Services = silent.app.state.services
    async with Database.open(f"postgresql://127.0.0.1:{free_port()}/x", role="api", timeout_seconds=0.1) as away:
        status = await StatusService(away, services.runners, "1", no_cluster).status()
    assert status.overall is Health.DOWN
    assert status.checks["llm"].status is Health.DISABLED
