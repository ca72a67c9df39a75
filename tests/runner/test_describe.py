"""What a runner tells of its graphs when it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runner.processes import RunnerProcess


async def test_it_draws_its_graphs_and_tells_their_schemas(shared_runner: RunnerProcess) -> None:
    async def told(what: str, **more: Any) -> Any:
        answer = await shared_runner.client.post("/describe", json={"graph": "asking", "what": what, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert [node["id"] for node in (await told("drawing"))["nodes"]] == ["__start__", "inner", "last", "__end__"]
    assert {"inner:first", "inner:ask"} <= {node["id"] for node in (await told("drawing", xray=1))["nodes"]}
    assert set(await told("schemas")) == {"input", "output", "state", "config", "context"}
    assert list(await told("subgraphs", recurse=True)) == ["inner"]
    assert await told("subgraphs", namespace="outer") == {}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"graph": "nope", "what": "drawing"}, 404, "UnknownGraph"),
        ({"graph": "asking", "what": "colours"}, 400, "Invalid"),
        ({"graph": "asking", "what": "drawing", "xray": "deep"}, 400, "Invalid"),
        ({"what": "drawing"}, 400, "Invalid"),
        ([], 400, "Invalid"),
    ],
)
async def test_what_it_cannot_tell_is_refused(
    shared_runner: RunnerProcess, body: Any, status: int, reason: str
) -> None:
    answer = await shared_runner.client.post("/describe", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
