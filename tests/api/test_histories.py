"""Long histories: handed on while a runner still makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from relayrun_api.settings import ApiSettings
from tests.api.conftest import Api
from tests.api.test_thread_states import finished_thread
from tests.support.serving import serving
from tests.support.waiting import until

STATE = orjson.dumps({"values": {"steps": ["x" * 100_000], "n": 1}, "next": []})


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(update={"runner_token": SecretStr("secret")})


class Making:
    """A runner that makes a history of so many states, and may be held or broken before one of them."""

    def __init__(self, states: int, *, breaks_at: int | None = None) -> None:
        self.states = states
        self.breaks_at = breaks_at
        self.made = 0
        self.closed = False
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.asked: list[Any] = []

    @property
    def whole(self) -> bytes:
        return b"[" + b",".join([STATE] * self.states) + b"]"

    async def answer(self, request: Request) -> Response:
        self.asked.append(orjson.loads(await request.body()))
        return StreamingResponse(self._parts(), media_type="application/json")

    async def _parts(self) -> AsyncGenerator[bytes]:
        try:
            for number in range(self.states):
                await asyncio.sleep(0)  # as one that reads: it hears of a client that left
                await self.go_on.wait()
                if number == self.breaks_at:
                    raise ConnectionError("the runner is gone")
                self.made += 1
                yield (b"," if number else b"[") + STATE
            yield b"]"
        finally:
            self.closed = True


@asynccontextmanager
async def listed(settings: ApiSettings, *answers: Any) -> AsyncIterator[None]:
    """Runners that answer so."""
    async with AsyncExitStack() as stack:
        entries = []
        for answer in answers:
            app = Starlette(routes=[Route("/threads/{t}/history", answer, methods=["POST"])])
            url = f"http://127.0.0.1:{await stack.enter_async_context(serving(app))}"
            entries.append({"name": url, "url": url, "agent": "default", "graphs": ["steps"], "ready": True})
        assert settings.runners_file is not None
        settings.runners_file.write_bytes(orjson.dumps({"runners": entries, "desired": 1, "problems": []}))
        yield


async def test_a_history_is_told_while_it_is_made(api: Api, settings: ApiSettings) -> None:
    thread_id, runner = await finished_thread(api), Making(40)
    async with listed(settings, runner.answer):
        runner.go_on.clear()
        asking = api.http.build_request("GET", f"/threads/{thread_id}/history", params={"limit": 40})
        sending = asyncio.create_task(api.http.send(asking, stream=True))
        await until(lambda: bool(runner.asked))
        runner.go_on.set()
        await until(lambda: runner.made > 5)
        answer = await sending
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert await answer.aread() == runner.whole


@pytest.mark.parametrize("states", [0, 1, 2])
async def test_a_short_one_has_its_length(api: Api, settings: ApiSettings, states: int) -> None:
    thread_id = await finished_thread(api)
    history = [orjson.loads(STATE)] * states

    async def answer(_: Request) -> Response:
        return JSONResponse(history)

    async with listed(settings, answer):
        got = await api.http.post(f"/threads/{thread_id}/history", json={})
        assert got.json() == history
        assert int(got.headers["content-length"]) == len(got.content)


async def test_a_history_that_breaks_off_does_not_end_in_order(api: Api, settings: ApiSettings) -> None:
    thread_id, runner = await finished_thread(api), Making(40, breaks_at=20)
    async with listed(settings, runner.answer):
        with pytest.raises(httpx.RemoteProtocolError):
            await api.http.get(f"/threads/{thread_id}/history", params={"limit": 40})
    assert runner.made == 20


async def test_before_anything_was_told_another_runner_is_asked(api: Api, settings: ApiSettings) -> None:
    thread_id, broken, whole = await finished_thread(api), Making(40, breaks_at=1), Making(1)
    async with listed(settings, broken.answer, whole.answer):
        for _ in range(2):  # whichever runner's turn it is
            answer = await api.http.get(f"/threads/{thread_id}/history")
            assert (answer.status_code, answer.content) == (200, whole.whole)
    assert broken.asked


async def test_nothing_more_is_made_for_a_client_that_left(api: Api, settings: ApiSettings) -> None:
    thread_id, runner = await finished_thread(api), Making(1_000_000)
    async with listed(settings, runner.answer):
        async with api.http.stream("GET", f"/threads/{thread_id}/history") as answer:
            await anext(answer.aiter_raw())
        await until(lambda: runner.closed)
    assert runner.made < 1_000


class TestShares:
    """Of one who may ask one question at a time."""

    @pytest.fixture
    def settings(self, settings: ApiSettings) -> ApiSettings:
        return settings.model_copy(update={"questions_per_owner": 1})

    async def test_a_history_counts_as_a_question_until_its_end(self, api: Api, settings: ApiSettings) -> None:
        thread_id, endless, short = await finished_thread(api), Making(1_000_000), Making(1)
        path = f"/threads/{thread_id}/history"
        async with listed(settings, endless.answer), api.http.stream("GET", path) as answer:
            parts = answer.aiter_raw()  # kept: without it the answer is closed
            await anext(parts)
            async with api.http.stream("GET", path) as refused:
                assert refused.status_code == 429
        async with listed(settings, short.answer):
            assert (await api.http.get(path)).content == short.whole


async def test_parts_are_selected_by_the_runner_or_for_one_that_cannot(api: Api, settings: ApiSettings) -> None:
    thread_id = await finished_thread(api)
    asked: list[Any] = []

    async def knows_how(request: Request) -> Response:
        asked.append(orjson.loads(await request.body()))
        return JSONResponse([{"values": {"n": 2}}], headers={"Relayrun-Selected": "1"})

    for answer, told in ((knows_how, 2), (Making(3).answer, 1)):
        async with listed(settings, answer):
            got: Any = await api.sdk.threads.get_history(thread_id, select=["values.n", "nothing"])
            assert got == [{"values": {"n": told}}] * len(got)
            assert got
    assert asked == [{"graph": "steps", "limit": 10, "select": ["values.n", "nothing"]}]


async def test_a_history_that_is_slow_to_read_is_not_blamed_on_the_agent(api: Api, settings: ApiSettings) -> None:
    thread_id = await finished_thread(api)

    async def slow(_: Request) -> Response:
        return JSONResponse({"reason": "ReadingSlow", "message": "the database took longer than 25 s for it"}, 504)

    async with listed(settings, slow):
        answer = await api.http.get(f"/threads/{thread_id}/history")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_runner")
    assert "the database took longer" in answer.json()["detail"]
    assert "code" not in answer.json()["detail"]
