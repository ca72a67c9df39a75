"""Streams without an end of their own end with their caller's token or key; what is about one run ends with the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from relayrun_api.auth import Principal, keys, lasting
from relayrun_api.auth.lasting import NoLongerAccepted, StillAccepted
from relayrun_api.event_protocol import feed as protocol_feed
from relayrun_api.http.errors import ApiError, Forbidden, IssuerAway, ThreadNotFound, Unauthenticated
from relayrun_api.settings import ApiSettings
from relayrun_api.threads import stream as thread_stream
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.db.keys import create_key, revoke_key
from tests.api.access import HS256, as_user, as_user_for, bearer
from tests.api.conftest import Api, open_streams, opened
from tests.api.play import Attempt
from tests.api.test_protocol_socket import Talk, closed_with, url_of
from tests.support.postgres import fresh_database
from tests.support.waiting import until, until_it_is

LIFE_SECONDS = 2.0


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with fresh_database(postgres) as url:
        settings = ApiSettings(database_url=url, **{**HS256, "auth": "jwt,api-key"}, jwt_leeway_seconds=0)
        async with opened(settings) as api:
            yield api


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls is asked as often as a second's tenth, in streams that are silent too."""
    monkeypatch.setattr(lasting, "CHECK_SECONDS", 0.05)
    for module in (thread_stream, protocol_feed):
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.1)


def short_lived() -> dict[str, str]:
    return as_user_for(LIFE_SECONDS)


async def new_thread(api: Api) -> str:
    made = await api.http.post("/threads", json={}, headers=as_user("alice"))
    assert made.status_code == 200, made.text
    thread_id: str = made.json()["thread_id"]
    return thread_id


async def cut_off(api: Api, headers: dict[str, str], method: str, path: str, body: Any = None) -> int:
    """The status with which a stream begins that is cut off some time, and which is then refused."""
    async with asyncio.timeout(60):
        async with api.http.stream(method, path, json=body, headers=headers) as answer:
            with pytest.raises(httpx.RemoteProtocolError):
                await answer.aread()
        again = await api.http.request(method, path, json=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")
    return answer.status_code


STREAMS = [
    ("GET", "/threads/{t}/stream", None),
    ("POST", "/threads/{t}/stream/events", {"channels": ["values"]}),
    ("GET", "/threads/{t}/stream/events?channels=values", None),
]


@pytest.mark.parametrize(("method", "path", "body"), STREAMS)
async def test_who_follows_a_thread_is_cut_off_when_the_token_expires(
    guarded: Api, method: str, path: str, body: Any
) -> None:
    path = path.format(t=await new_thread(guarded))
    headers = short_lived()
    begun = time.monotonic()
    assert await cut_off(guarded, headers, method, path, body) == 200
    assert time.monotonic() - begun > LIFE_SECONDS / 4, "it was hardly begun"


@pytest.mark.parametrize("browser", [False, True])
async def test_a_web_socket_says_that_a_new_token_is_needed(guarded: Api, *, browser: bool) -> None:
    thread_id = await new_thread(guarded)
    headers = short_lived()
    names = [Subprotocol("relayrun"), Subprotocol("relayrun.bearer." + headers["Authorization"].split()[1])]
    url = url_of(guarded, thread_id)
    options: dict[str, Any] = {"subprotocols": names} if browser else {"additional_headers": headers}
    async with connect(url, proxy=None, **options) as connection:
        await Talk(connection).subscribe("values")
        assert await closed_with(connection) == 4401


async def test_who_follows_a_thread_is_cut_off_when_the_key_is_revoked(
    guarded: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "REMEMBERED_SECONDS", 0.1)
    text, key = await create_key(guarded.database, "alice")
    path = f"/threads/{await new_thread(guarded)}/stream"
    await until(lambda: open_streams(guarded) == 0)  # those of the tests before
    cut = asyncio.create_task(cut_off(guarded, bearer(text), "GET", path))
    await until(lambda: open_streams(guarded) > 0)
    assert await revoke_key(guarded.database, key.key_id)
    assert await cut == 200


@pytest.mark.parametrize("method", ["stream", "wait"])
async def test_a_run_is_followed_to_its_end_whatever_becomes_of_the_token(guarded: Api, method: str) -> None:
    path = f"/threads/{await new_thread(guarded)}/runs/{method}"
    headers = short_lived()
    body = {"assistant_id": "steps", "input": {}, "stream_mode": ["values"]}

    async def refused() -> bool:
        return (await guarded.http.get("/assistants/steps", headers=headers)).status_code != 200

    async with guarded.http.stream("POST", path, json=body, headers=headers) as answer:
        attempt = await Attempt.begin(guarded.database, answer.headers["content-location"].split("/")[-1])
        await until_it_is(refused)
        await attempt.tell("values", {"steps": [1]})
        await attempt.succeed({"steps": [1]})
        assert b'"steps":[1]' in await answer.aread()


class Someone:
    """Is asked who calls, and answers in turn; a ThreadNotFound comes when the thread is looked for."""

    def __init__(self, *answers: Principal | ApiError | None) -> None:
        self._found = True
        self._answers = list(answers)

    async def authenticate(self, _: HTTPConnection) -> Principal | None:
        answer = self._answers.pop(0)
        if isinstance(answer, ThreadNotFound):
            self._found = False
            return ALICE
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def see(self, _: Principal) -> None:
        if not self._found:
            raise ThreadNotFound("It is somebody else's.")


async def numbers() -> AsyncGenerator[int]:
    for number in range(5):
        await asyncio.sleep(0.06)  # longer than until the next question
        yield number


ALICE = Principal("alice")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([ALICE] * 5, 5),
        ([ALICE, IssuerAway("The issuer is away."), ALICE, ALICE, ALICE], 5),
        ([ALICE, Unauthenticated("It has expired.")], 1),
        ([ALICE, ALICE, Forbidden("Not any more.")], 2),
        ([ALICE, ALICE, None], 2),
        ([ALICE, ALICE, ThreadNotFound("")], 2),
    ],
)
async def test_only_a_refusal_ends_a_stream(answers: list[Any], told: int) -> None:
    found: list[int] = []
    someone = Someone(*answers)
    connection = HTTPConnection({"type": "http", "headers": []})
    guarded = StillAccepted(someone, connection).guard(numbers(), someone.see)
    with pytest.raises(NoLongerAccepted) if told < 5 else nullcontext():
        async for number in guarded:
            found.append(number)  # noqa: PERF401 - as far as it comes
    assert found == list(range(told))
