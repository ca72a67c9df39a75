"""The event protocol on a WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from relayrun_api.http.bodies import MAX_BODY_BYTES
from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_admin, as_user, as_user_for, token
from tests.api.conftest import Api, open_streams, opened
from tests.api.play import Attempt
from tests.api.test_protocol import ASKS, QUESTION, START, new_thread, phases, ran, sent
from tests.support.waiting import until, until_it_is

ALICE, BOB = as_user("alice"), as_user("bob")


def url_of(api: Api, thread_id: str) -> str:
    return f"ws{api.url.removeprefix('http')}/threads/{thread_id}/stream/events"


@asynccontextmanager
async def connected(api: Api, thread_id: str, **options: Any) -> AsyncIterator[Talk]:
    async with connect(url_of(api, thread_id), proxy=None, compression=None, **options) as connection:
        yield Talk(connection)


class Talk:
    """One client's connection: answers by their numbers, events in their order."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.told: list[dict[str, Any]] = []
        self._number = 0

    async def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        """The answer to a command."""
        self._number += 1
        await self.connection.send(json.dumps({"id": self._number, "method": method, "params": params or {}}))
        return await self.answer(self._number)

    async def answer(self, number: int | None) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while "method" in (message := await self._next()):
                self.told.append(message)
        assert message["id"] == number, message
        return message

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The first `count` events."""
        async with asyncio.timeout(60):
            while len(self.told) < count:
                self.told.append(await self._next())
        return self.told[:count]

    async def subscribe(self, *channels: str, **more: Any) -> str:
        answer = await self.ask("subscription.subscribe", {"channels": channels or ["lifecycle"], **more})
        identity: str = answer["result"]["subscription_id"]
        return identity

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.connection.recv())
        return message


async def closed_with(connection: ClientConnection) -> int:
    """The code with which the server closes."""
    async with asyncio.timeout(60):
        await connection.wait_closed()
    assert connection.protocol.close_rcvd is not None
    return connection.protocol.close_rcvd.code


async def test_commands_and_events_share_a_connection(shared: Api) -> None:
    thread_id = new_thread()
    async with connected(shared, thread_id) as talk:
        await talk.subscribe("lifecycle", "custom", "input")
        started = await talk.ask("run.start", START)
        run_id = started["result"]["run_id"]
        assert started["meta"]["applied_through_seq"] > 0
        attempt = await Attempt.begin(shared.database, run_id)
        await attempt.tell("custom", {"n": 1})
        await attempt.tell("updates", ASKS)
        await attempt.pause({}, QUESTION)
        assert phases(await talk.events(4)) == ["running", "custom", "input.requested", "interrupted"]
        answered = await talk.ask("input.respond", {"interrupt_id": QUESTION.id, "response": "yes"})
        assert (answered["type"], answered["result"]) == ("success", {})
        answer = (await shared.sdk.runs.list(thread_id))[0]["run_id"]
        await (await Attempt.begin(shared.database, answer)).succeed()
        assert phases((await talk.events(7))[4:]) == ["input.answered", "running", "completed"]
        assert [one["seq"] for one in talk.told] == sorted({one["seq"] for one in talk.told})


async def test_subscriptions_come_and_go(shared: Api) -> None:
    thread_id = new_thread()
    await ran(shared, thread_id, 1)
    async with connected(shared, thread_id) as talk:
        lifecycle, custom = await talk.subscribe("lifecycle"), await talk.subscribe("custom")
        assert sorted(phases(await talk.events(3))) == ["completed", "custom", "running"]
        assert (await talk.ask("subscription.unsubscribe", {"subscription_id": lifecycle}))["result"] == {}
        gone = await talk.ask("subscription.unsubscribe", {"subscription_id": lifecycle})
        assert gone["error"] == "no_such_subscription"
        await ran(shared, thread_id, 2)
        assert phases((await talk.events(4))[3:]) == ["custom"]
        seq = talk.told[-1]["seq"]
        await talk.ask("subscription.unsubscribe", {"subscription_id": custom})
        await talk.subscribe("lifecycle", "custom", since=seq)
        assert phases((await talk.events(5))[4:]) == ["completed"]
        assert (await talk.ask("subscription.reconnect", {}))["result"] == {"restored": False}


async def test_a_run_ends_when_all_subscriptions_of_a_connection_have_told_it(shared: Api) -> None:
    """Made one right behind the other, as by a client that comes back; the one with the end has the least to read."""
    thread_id = new_thread()
    run_id = (await sent(shared.http, thread_id, "run.start", START)).json()["result"]["run_id"]
    attempt = await Attempt.begin(shared.database, run_id)
    for number in range(300):
        await attempt.tell("custom", {"number": number})
    await attempt.succeed()
    wanted = [["lifecycle"], ["lifecycle", "input"], ["custom"]]
    async with connected(shared, thread_id) as talk:
        for number, channels in enumerate(wanted):
            command = {"id": number, "method": "subscription.subscribe", "params": {"channels": channels}}
            await talk.connection.send(json.dumps(command))
        for number in range(len(wanted)):
            await talk.answer(number)
        told = await talk.events(304)
    assert phases(told) == ["running"] * 2 + ["custom"] * 300 + ["completed"] * 2


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_argument"),
        ("[]", "invalid_argument"),
        ('{"id": "x", "method": "run.start"}', "invalid_argument"),
        ('{"method": "run.start"}', "invalid_argument"),
        (b"\xff\xfe", "invalid_argument"),
        ("[" * 100_000, "invalid_argument"),
        ('{"id": 1, "method": "run.start", "params": {"assistant_id": "a\\u0000"}}', "invalid_argument"),
        ('{"id": 1, "method": "run.start", "params": {"assistant_id": "\\ud800"}}', "invalid_argument"),
        ('{"id": 99999999999999999999, "method": "x"}', "invalid_argument"),
        ('{"id": 1, "method": "subscription.subscribe", "params": {"channels": ["gossip"]}}', "invalid_argument"),
        ('{"id": 1, "method": "nothing.at.all"}', "unknown_command"),
        ('{"id": 1, "method": "input.inject"}', "not_supported"),
        ('{"id": 1, "method": "input.respond", "params": {"interrupt_id": "i", "response": 1}}', "no_such_run"),
    ],
)
async def test_what_is_wrong_is_answered_and_the_connection_goes_on(
    shared: Api, message: str | bytes, code: str
) -> None:
    async with connected(shared, new_thread()) as talk:
        await talk.connection.send(message)
        async with asyncio.timeout(60):
            answer = json.loads(await talk.connection.recv())
        assert (answer["type"], answer["error"]) == ("error", code), answer
        assert (await talk.ask("subscription.reconnect"))["type"] == "success"


async def test_a_message_that_is_too_large_ends_the_connection(shared: Api) -> None:
    async with connected(shared, new_thread()) as talk:
        with suppress(ConnectionClosed):  # it may be refused before it is there
            await talk.connection.send("x" * (MAX_BODY_BYTES + 1))
        assert await closed_with(talk.connection) == 1009


async def test_a_connection_has_only_so_many_subscriptions(shared: Api) -> None:
    async with connected(shared, new_thread()) as talk:
        for _ in range(64):
            await talk.subscribe()
        refused = await talk.ask("subscription.subscribe", {"channels": ["lifecycle"]})
        assert refused["error"] == "invalid_argument"
    await until(lambda: open_streams(shared) == 0)


async def test_an_api_that_goes_sends_its_clients_elsewhere(settings: ApiSettings) -> None:
    async with opened(settings) as api, connected(api, new_thread()) as talk:
        await talk.subscribe()
        api.server.should_exit = True
        assert await closed_with(talk.connection) == 1012


async def test_a_client_that_does_not_read_holds_up_nobody(shared: Api) -> None:
    thread_id = new_thread()
    run_id = (await sent(shared.http, thread_id, "run.start", START)).json()["result"]["run_id"]
    attempt = await Attempt.begin(shared.database, run_id)
    async with connected(shared, thread_id, max_queue=1) as stuck, connected(shared, thread_id) as talk:
        transport = stuck.connection.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await stuck.connection.send(
            json.dumps({"id": 1, "method": "subscription.subscribe", "params": {"channels": ["custom"]}})
        )
        await talk.subscribe("custom")
        count, text = 40, "x" * 500_000
        for number in range(count):
            await attempt.tell("custom", {"number": number, "text": text})
        told = await talk.events(count)
        assert [one["params"]["data"]["number"] for one in told] == list(range(count))
        transport.resume_reading()
        await stuck.answer(1)
        late = await stuck.events(count)
        assert late == told


@pytest.fixture
async def guarded(database_url: str) -> AsyncIterator[Api]:
    more = {"cors_origins": ["https://page.example"], "rate_limit": 1, "jwt_leeway_seconds": 0, **HS256}
    async with opened(ApiSettings(database_url=database_url, **more)) as api:
        yield api


async def refusal(api: Api, thread_id: str, **options: Any) -> tuple[int, str]:
    """The status and the code with which a connection is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with connected(api, thread_id, **options):
            pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, json.loads(response.body)["code"]


async def test_who_may_connect(guarded: Api) -> None:
    thread_id = new_thread()
    assert (await sent(guarded.http, thread_id, "run.start", START)).status_code == 401
    assert await refusal(guarded, thread_id) == (401, "unauthenticated")
    wrong = {"Authorization": "Bearer nonsense"}
    assert (await refusal(guarded, thread_id, additional_headers=wrong))[0] == 401
    async with connected(guarded, thread_id, additional_headers=ALICE) as talk:
        assert (await talk.ask("run.start", START))["type"] == "success"
        limited = await talk.ask("run.start", START)
        assert (limited["error"], "runs" in limited["message"]) == ("unknown_error", True)
    assert await refusal(guarded, thread_id, additional_headers=BOB) == (404, "thread_not_found")
    async with connected(guarded, thread_id, additional_headers=as_admin()) as talk:
        await talk.subscribe("lifecycle")


async def test_a_token_that_has_expired_starts_nothing_more(guarded: Api) -> None:
    brief = as_user_for(1)
    thread_id = new_thread()
    async with connected(guarded, thread_id, additional_headers=brief) as talk:
        answers = [await talk.ask("subscription.reconnect")]

        async def expired() -> bool:
            answers.append(await talk.ask("subscription.reconnect"))
            return answers[-1]["type"] == "error"

        await until_it_is(expired)
        assert (answers[0]["type"], answers[-1]["error"]) == ("success", "permission_denied")
        assert (await talk.ask("run.start", START))["error"] == "permission_denied"
    assert (await guarded.http.get(f"/threads/{thread_id}", headers=ALICE)).status_code == 404


async def test_threads_of_one_name_are_their_owners(guarded: Api) -> None:
    for headers in (ALICE, BOB):
        async with connected(guarded, "diary", additional_headers=headers) as talk:
            await talk.subscribe("lifecycle")
            started = await talk.ask("run.start", START)
            await Attempt.begin(guarded.database, UUID(started["result"]["run_id"]))
            told = await talk.events(1)
            assert started["result"]["run_id"] in told[0]["event_id"]


async def test_a_thread_that_becomes_somebody_elses_is_told_to_nobody_else(guarded: Api) -> None:
    thread_id = new_thread()
    async with connected(guarded, thread_id, additional_headers=BOB) as talk:
        await talk.subscribe("lifecycle")
        response = await guarded.http.post(
            f"/threads/{thread_id}/commands", json={"id": 1, "method": "run.start", "params": START}, headers=ALICE
        )
        await Attempt.begin(guarded.database, response.json()["result"]["run_id"])
        assert await closed_with(talk.connection) == 1012
        assert talk.told == []
    assert (await refusal(guarded, thread_id, additional_headers=BOB))[0] == 404


async def test_a_browser_says_who_calls_by_a_protocol(guarded: Api) -> None:
    said = [Subprotocol("relayrun"), Subprotocol(f"relayrun.bearer.{token('alice')}")]
    page = Origin("https://page.example")
    async with connected(guarded, new_thread(), subprotocols=said, origin=page) as talk:
        assert talk.connection.subprotocol == "relayrun"
        assert (await talk.ask("run.start", START))["type"] == "success"
    nobody = [Subprotocol("relayrun"), Subprotocol("relayrun.bearer.nonsense")]
    async with connected(guarded, new_thread(), subprotocols=nobody, origin=page) as talk:
        assert await closed_with(talk.connection) == 4401


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("https://page.example", True),
        ("https://evil.example", False),
        ("https://page.example.evil.example", False),
        ("http://localhost:3000", False),
        ("null", False),
        ("{own}", True),
    ],
)
async def test_pages_of_other_origins_are_kept_out(guarded: Api, origin: str, welcome: bool) -> None:
    options = {"origin": origin.replace("{own}", guarded.url), "additional_headers": ALICE}
    if welcome:
        async with connected(guarded, new_thread(), **options) as talk:
            assert (await talk.ask("subscription.reconnect"))["type"] == "success"
    else:
        assert await refusal(guarded, new_thread(), **options) == (403, "forbidden")


async def test_pages_of_this_machine_may_connect_where_cors_lets_them(shared: Api) -> None:
    for origin in ("http://localhost:3000", "https://smith.langchain.com"):
        async with connected(shared, new_thread(), origin=Origin(origin)) as talk:
            assert (await talk.ask("subscription.reconnect"))["type"] == "success"
    assert (await refusal(shared, new_thread(), origin=Origin("https://evil.example")))[0] == 403
