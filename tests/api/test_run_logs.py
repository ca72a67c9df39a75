"""A run's log over HTTP: in pages, for its owner alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from relayrun_core.db.run_logs import LogBatch, append_log
from tests.api.conftest import Api


async def a_run(api: Api) -> tuple[str, UUID]:
    """The path of its log, and its id."""
    thread = await api.sdk.threads.create()
    run = await api.sdk.runs.create(thread["thread_id"], "talk", input={})
    return f"/threads/{thread['thread_id']}/runs/{run['run_id']}/logs", UUID(run["run_id"])


def line(n: int, text: str, *, at: int = 1_700_000_000_000, **more: Any) -> dict[str, Any]:
    return {"n": n, "at": at, "source": "stdout", "text": text, "node": "answer", **more}


async def test_a_log_is_read_in_pages_and_by_attempt(shared: Api) -> None:
    path, run_id = await a_run(shared)
    assert (await shared.http.get(path)).json() == {"lines": [], "next": None}
    first = [line(n, f"first {n}") for n in range(1, 4)]
    logged = line(1, "second\n\x1b[31m", source="log", level="error", logger="shop", at=32_503_680_000_000)
    told = line(2, "7 lines were dropped: its log is full", source="relayrun", node=None, dropped=7)
    await append_log(shared.database, LogBatch.of(run_id, 2, [logged, told]))
    await append_log(shared.database, LogBatch.of(run_id, 1, first[:2]))
    await append_log(shared.database, LogBatch.of(run_id, 1, first[2:]))

    whole = (await shared.http.get(path)).json()
    assert [entry["id"] for entry in whole["lines"]] == ["1-1", "1-2", "1-3", "2-1", "2-2"]
    assert whole["lines"][3] == {
        "id": "2-1",
        "time": "3000-01-01T00:00:00+00:00",
        "attempt": 2,
        "node": "answer",
        "source": "log",
        "level": "error",
        "logger": "shop",
        "text": "second\n\x1b[31m",
        "dropped": None,
    }
    assert whole["lines"][4]["dropped"] == 7
    texts: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await shared.http.get(path, params={"limit": 2, "after": after})).json()
        texts += [entry["id"] for entry in page["lines"]]
        after = page["next"]
    assert texts == [entry["id"] for entry in whole["lines"]]
    of_first = (await shared.http.get(path, params={"attempt": 1, "after": "1-1"})).json()
    assert [entry["text"] for entry in of_first["lines"]] == ["first 2", "first 3"]
    newer = (await shared.http.get(path, params={"since_seconds": 60})).json()
    assert [entry["id"] for entry in newer["lines"]] == ["2-1"]


@pytest.mark.parametrize("after", ["1", "x-1", "-1", "1-", "1-99999999999", "²-1"])
async def test_what_is_no_line_is_refused(shared: Api, after: str) -> None:
    path, _ = await a_run(shared)
    refused = await shared.http.get(path, params={"after": after})
    assert refused.status_code == 422
    assert "`after`" in refused.json()["detail"]
