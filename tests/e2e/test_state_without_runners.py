"""What threads wait for is told while no runner is up: right after a kill of all, and when none is wanted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.dev import Dev
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(240)]


async def _paused(http: httpx.AsyncClient, graph: str) -> tuple[str, dict[str, Any]]:
    """The path of a thread that waits, and what `wait` told of it."""
    thread = f"/threads/{(await http.post('/threads', json={})).json()['thread_id']}"
    told = await http.post(f"{thread}/runs/wait", json={"assistant_id": graph, "input": {"done": []}})
    return thread, told.json()


async def test_the_state_is_the_same_when_all_runners_are_killed(dev: Dev) -> None:
    async with httpx.AsyncClient(base_url=dev.url, timeout=60, trust_env=False) as http:
        threads = dict([await _paused(http, "ask_both"), await _paused(http, "ask")])
        before = {thread: (await http.get(f"{thread}/state")).json() for thread in threads}
        for thread, told in threads.items():
            assert before[thread]["next"]
            assert [one["id"] for one in told["__interrupt__"]] == [one["id"] for one in before[thread]["interrupts"]]
        runners = dev.running("relayrun_runner")
        # Killed one after the other, the first would be replaced before the last is gone.
        for runner in runners:
            runner.suspend()
        try:
            while_frozen = {thread: await http.get(f"{thread}/state") for thread in threads}
        finally:
            for runner in runners:
                runner.kill()
        right_after = {thread: await http.get(f"{thread}/state") for thread in threads}
        for answers in (while_frozen, right_after):
            assert {thread: answer.json() for thread, answer in answers.items()} == before
        await until(lambda: len(dev.ready_runners()) == len(runners))
        for thread, told in threads.items():
            answers = {one["id"]: "yes" for one in told["__interrupt__"]}
            body = {"assistant_id": "ask_both" if len(answers) > 1 else "ask", "command": {"resume": answers}}
            assert "__interrupt__" not in (await http.post(f"{thread}/runs/wait", json=body)).json()
