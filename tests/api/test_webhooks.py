"""Webhooks: a row for every end of a run, told at least once and not for ever, and only to who may be called."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relayrun_api.a2a.notifications import notification
from relayrun_api.http.errors import Invalid
from relayrun_api.metrics import Metrics
from relayrun_api.settings import ApiSettings
from relayrun_api.webhooks import sender as webhook_sender
from relayrun_api.webhooks.delivery import WebhookDelivery, wait_seconds
from relayrun_api.webhooks.rules import Reach, WebhookRules, reach_of
from relayrun_api.webhooks.sender import NotTaken, WebhookSender
from relayrun_core.database import Database
from relayrun_core.db.claim import Claim, claim
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.db.outbox import Busy, delivered, put_off, take_deliveries
from relayrun_core.db.runs import create_run, delete_run, get_run, request_cancel
from relayrun_core.db.threads import delete_thread
from relayrun_core.ids import new_run_id
from relayrun_core.rotating import RotatingSecret
from relayrun_core.runs import NewRun, Outcome, PendingInterrupt, Run, RunSpec
from relayrun_core.states import CancelAction, Reason
from tests.api.conftest import Api, opened, until_metrics_say
from tests.api.play import STEPS, Attempt, register
from tests.api.process import api_process
from tests.api.test_refusals import check_problem
from tests.support.serving import serving
from tests.support.waiting import eventually, until

QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")
PRIVATE = WebhookRules(allow_private=True, allow_local=True)
NETWORK = WebhookRules(allow_private=True)
SECRET = "a secret that is long enough"
NOW_DUE = "UPDATE webhooks SET next_try = now()"


class Receiver:
    """Takes webhooks; `answers` are given in turn, and then 200. `hold`: it does not answer before it is set."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.requests: list[tuple[httpx.Headers, bytes, str]] = []
        self.answers: list[Response] = []
        self.hold: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        self.requests.append((httpx.Headers(scope["headers"]), body, request.url.path))
        if self.hold is not None:
            await self.hold.wait()
        response = self.answers.pop(0) if self.answers else Response()
        await response(scope, receive, send)

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(body) for _, body, _ in self.requests]


@asynccontextmanager
async def receiving(**tls: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serving(receiver, lifespan="off", **tls) as receiver.port:
        receiver.url = f"http://127.0.0.1:{receiver.port}/hook?token=t"
        try:
            yield receiver
        finally:
            if receiver.hold is not None:
                receiver.hold.set()


@pytest.fixture(autouse=True)
def receivers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' receivers are on this machine, which nobody calls unless it is said."""
    monkeypatch.setenv("RELAYRUN_WEBHOOK_ALLOW_PRIVATE", "true")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url, role="api") as database:
        yield database


async def accepted(database: Database, url: str = "http://127.0.0.1:1/", owner: str | None = None, **spec: Any) -> Run:
    new = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec(webhook=url, **spec), owner=owner)
    await create_run(database, new)
    run = await get_run(database, new.run_id)
    assert run is not None
    return run


async def outbox(database: Database) -> list[dict[str, Any]]:
    return await database.fetch_all("SELECT * FROM webhooks ORDER BY created_at")


# --- what is told


async def test_an_end_is_told_as_the_agent_server_tells_it(api: Api, receiver: Receiver) -> None:
    run = await api.sdk.runs.create(None, "steps", input={"n": 1}, metadata={"m": 2}, webhook=receiver.url)
    assert (await api.sdk.runs.get(run["thread_id"], run["run_id"]))["kwargs"]["webhook"] == receiver.url  # type: ignore[typeddict-item]
    await (await Attempt.begin(api.database, run["run_id"])).succeed({"steps": [1]})
    await until(lambda: bool(receiver.requests))
    told, headers = receiver.bodies[0], receiver.requests[0][0]
    assert {name: told[name] for name in ("run_id", "thread_id", "assistant_id")} == {
        name: run[name]  # type: ignore[literal-required]
        for name in ("run_id", "thread_id", "assistant_id")
    }
    assert (told["status"], told["values"], told["error"], told["interrupts"]) == ("success", {"steps": [1]}, None, [])
    assert (told["kwargs"]["input"], told["metadata"]["m"]) == ({"n": 1}, 2)
    times = [datetime.fromisoformat(told[name]) for name in ("run_started_at", "run_ended_at", "webhook_sent_at")]
    assert times == sorted(times)
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == headers["webhook-id"] == run["run_id"]
    assert "webhook-signature" not in headers

    async def removed() -> bool:
        return await outbox(api.database) == []

    await eventually(removed)
    assert len(receiver.requests) == 1
    await until_metrics_say(api, 'relayrun_webhooks_total{outcome="delivered"} 1.0')


async def cancelled_while_running(database: Database, run: Run) -> None:
    attempt = await Attempt.begin(database, run.run_id)
    await request_cancel(database, run.run_id, CancelAction.INTERRUPT)
    await attempt.succeed({"steps": ["so far"]})


async def barren(database: Database, run: Run) -> None:
    for number in (1, 2):
        await claim(database, Claim(run.run_id, number, uuid4(), "runner", alone=True))


ENDS: dict[str, tuple[Callable[[Database, Run], Awaitable[Any]], tuple[str, str]]] = {
    "fails": (lambda d, r: _attempt(d, r, "fail", "ValueError", "boom"), ("error", "GraphError")),
    "pauses": (lambda d, r: _attempt(d, r, "pause", {"steps": []}, QUESTION), ("success", "WaitingForInput")),
    "cancelled before it ran": (
        lambda d, r: request_cancel(d, r.run_id, CancelAction.ROLLBACK),
        ("interrupted", "Cancelled"),
    ),
    "cancelled while it ran": (cancelled_while_running, ("interrupted", "Cancelled")),
    "past its deadline": (
        lambda d, r: finish_from_outside(d, r.run_id, Outcome(Reason.DEADLINE_EXCEEDED, "too slow")),
        ("timeout", "DeadlineExceeded"),
    ),
    "its process died again and again": (barren, ("error", "BackoffLimitExceeded")),
}


async def _attempt(database: Database, run: Run, ending: str, *arguments: Any) -> None:
    await getattr(await Attempt.begin(database, run.run_id), ending)(*arguments)


@pytest.mark.parametrize("name", ENDS)
async def test_however_a_run_ends_it_is_told(database: Database, receiver: Receiver, name: str) -> None:
    end, (status, reason) = ENDS[name]
    run = await accepted(database, receiver.url, backoff_limit=0)
    await end(database, run)
    async with couriers(database) as courier:
        await courier.deliver((await take_deliveries(database, 1))[0])
    told = receiver.bodies[0]
    assert (told["status"], told["reason"]) == (status, reason)
    assert told["interrupts"] == ([{"id": QUESTION.id, "value": "ok?"}] if name == "pauses" else [])
    assert told["error"] == ({"error": "ValueError", "message": "boom"} if name == "fails" else None)
    assert b"secret path" not in receiver.requests[0][1], "the traceback is its owner's"


@pytest.mark.parametrize(
    ("keys", "output"), [(["steps"], {"steps": [1]}), ("steps", [1]), (None, {"steps": [1], "x": 2})]
)
async def test_a_receiver_is_told_what_the_graph_tells_of_its_state(database: Database, keys: Any, output: Any) -> None:
    run = await accepted(database)
    attempt = await Attempt.begin(database, run.run_id)
    await attempt.succeed({"steps": [1], "x": 2}, output_keys=keys)
    assert [row["values"] for row in await outbox(database)] == [output]


async def test_the_row_is_part_of_the_transaction_that_ends_the_run(database: Database) -> None:
    run = await accepted(database)
    await Attempt.begin(database, run.run_id)
    finish = """
        SELECT relayrun_finish(%s, 1, 'success', 'Succeeded', '', '{"a": 1}', '[]',
                               NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    """
    async with database.connection() as conn, conn.transaction(force_rollback=True):
        await conn.execute(finish.encode(), (run.run_id,))
    assert await outbox(database) == []
    for _ in range(2):  # told twice, as after a lost answer
        await database.fetch_one(finish, (run.run_id,))
    rows = await outbox(database)
    assert [(row["run_id"], row["values"]) for row in rows] == [(run.run_id, {"a": 1})]


async def test_a_run_without_a_webhook_leaves_no_row(database: Database) -> None:
    run = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec())
    await create_run(database, run)
    await (await Attempt.begin(database, run.run_id)).succeed()
    assert await outbox(database) == []


async def test_what_is_told_stays_when_run_and_thread_are_forgotten(database: Database, receiver: Receiver) -> None:
    for forget in (lambda run: delete_run(database, run.run_id), lambda run: delete_thread(database, run.thread_id)):
        run = await accepted(database, receiver.url)
        await (await Attempt.begin(database, run.run_id)).succeed({"steps": [1]})
        await forget(run)
    async with couriers(database) as courier:
        for delivery in await take_deliveries(database, 2):
            await courier.deliver(delivery)
    assert [told["values"] for told in receiver.bodies] == [{"steps": [1]}] * 2


# --- how often


@asynccontextmanager
async def couriers(
    database: Database, rules: WebhookRules = PRIVATE, secret: str | None = None, metrics: Metrics | None = None
) -> AsyncIterator[WebhookDelivery]:
    async with WebhookSender.open(rules, RotatingSecret(secret or "")) as poster:
        yield WebhookDelivery(database, poster, metrics or Metrics(), notification)


async def ended(database: Database, url: str, owner: str | None = None) -> Run:
    run = await accepted(database, url, owner)
    await (await Attempt.begin(database, run.run_id)).succeed({"steps": [1]})
    return run


async def deliver_due(database: Database, courier: WebhookDelivery) -> None:
    await database.execute(NOW_DUE)
    for delivery in await take_deliveries(database, 1):
        await courier.deliver(delivery)


async def test_what_a_receiver_does_not_take_is_told_again_under_the_same_id(
    database: Database, receiver: Receiver
) -> None:
    elsewhere = {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}
    receiver.answers = [Response(status_code=500), Response(status_code=302, headers=elsewhere)]
    run = await ended(database, receiver.url)
    async with couriers(database) as courier:
        for tries, problem in enumerate(("it answered 500", "it answered 302"), start=1):
            before = datetime.now(UTC)
            await deliver_due(database, courier)
            after = datetime.now(UTC)
            row = (await outbox(database))[0]
            assert (row["tries"], row["problem"], row["failed_at"]) == (tries, problem, None)
            assert timedelta(seconds=3 * tries) < row["next_try"] - before
            assert row["next_try"] - after < timedelta(seconds=7 * tries)
        await deliver_due(database, courier)
    assert await outbox(database) == []
    assert [headers["webhook-id"] for headers, _, _ in receiver.requests] == [str(run.run_id)] * 3
    assert {path for _, _, path in receiver.requests} == {"/hook"}, "redirects are not followed"


def test_tries_are_ever_further_apart_and_at_least_hourly() -> None:
    waits = [wait_seconds(tries) for tries in range(1, 40)]
    assert 4 <= waits[0] <= 6
    assert 2880 <= waits[-1] <= 4320
    assert all(wait <= 4320 for wait in waits)
    assert len({wait_seconds(3) for _ in range(9)}) > 1, "those that failed together do not come back together"


@pytest.mark.parametrize("why", ["gone", "a day old"])
async def test_it_is_given_up_and_that_is_said(
    database: Database, receiver: Receiver, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [Response(status_code=410 if why == "gone" else 503)]
    await ended(database, receiver.url)
    if why == "a day old":
        await database.execute("UPDATE webhooks SET created_at = now() - interval '24 hours'")
    metrics = Metrics()
    async with couriers(database, metrics=metrics) as courier:
        await deliver_due(database, courier)
        await deliver_due(database, courier)
    row = (await outbox(database))[0]
    assert row["failed_at"] is not None
    assert len(receiver.requests) == 1
    said = [record for record in caplog.records if "given up" in record.message]
    assert len(said) == 1
    assert "token=t" not in caplog.text, "the URL may carry a secret"
    assert b'relayrun_webhooks_total{outcome="given_up"} 1.0' in metrics.render([])


async def test_each_row_is_one_takers_and_comes_back_when_that_one_dies(database: Database) -> None:
    runs = {(await ended(database, "http://127.0.0.1:1/")).run_id for _ in range(12)}
    taken = await asyncio.gather(*(take_deliveries(database, 4) for _ in range(5)))
    ids = [delivery.run_id for part in taken for delivery in part]
    assert len(ids) == len(set(ids)) == 12
    assert set(ids) == runs
    assert await take_deliveries(database, 12) == []
    await database.execute("UPDATE webhooks SET next_try = next_try - interval '60 seconds'")
    again = await take_deliveries(database, 12)
    assert {delivery.run_id for delivery in again} == runs
    # The first taker was not dead, only slow: what it says of its try does not touch the second one's.
    first = next(delivery for part in taken for delivery in part)
    await put_off(database, first, "late", final=True)
    assert all(row["failed_at"] is None for row in await outbox(database))
    await delivered(database, first)
    assert len(await outbox(database)) == 11


@pytest.mark.crash
async def test_a_process_that_is_killed_while_it_tells_loses_nothing(
    database: Database, database_url: str, receiver: Receiver
) -> None:
    await register(database, "steps", STEPS)
    receiver.hold = asyncio.Event()
    run = await ended(database, receiver.url)
    async with api_process(database_url, webhook_allow_private="true") as first:
        await until(lambda: len(receiver.requests) == 1)
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
    receiver.hold.set()
    await database.execute(NOW_DUE)  # instead of waiting for a minute
    async with api_process(database_url, webhook_allow_private="true"):
        await until(lambda: len(receiver.requests) == 2)
    assert {headers["webhook-id"] for headers, _, _ in receiver.requests} == {str(run.run_id)}


async def test_a_slow_receiver_delays_no_other(database: Database, receiver: Receiver) -> None:
    async with receiving() as slow, couriers(database) as courier:
        slow.hold = asyncio.Event()
        for _ in range(20):
            await ended(database, slow.url)
        await ended(database, receiver.url)
        running = asyncio.create_task(courier.run())
        try:
            await until(lambda: bool(receiver.requests))
            assert len(slow.requests) < 20
        finally:
            slow.hold.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("flooding", [1, 5])
async def test_whoever_has_many_slow_receivers_delays_nobody_else(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, flooding: int
) -> None:
    monkeypatch.setattr(webhook_sender, "LIMIT_SECONDS", 120.0)
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(receiving()) for _ in range(6)]
        for silent in slow:
            silent.hold = asyncio.Event()
        for number in range(flooding):
            for silent in slow:
                for _ in range(12):
                    await ended(database, silent.url, owner=f"mallory-{number}")
        courier = await stack.enter_async_context(couriers(database))
        running = asyncio.create_task(courier.run())
        try:
            await until(lambda: sum(len(silent.requests) for silent in slow) >= 16)
            await ended(database, receiver.url, owner="alice")
            await until(lambda: bool(receiver.requests))
        finally:
            running.cancel()
            for silent in slow:
                silent.hold.set()
            await asyncio.gather(running, return_exceptions=True)


async def test_the_first_of_each_owner_comes_before_the_second_of_any(database: Database) -> None:
    owners = ["alice", "alice", "alice", "bob", "bob", None]
    for number, owner in enumerate(owners):
        await ended(database, f"http://host-{number}.example/", owner=owner)
    first = await take_deliveries(database, 3)
    assert sorted(delivery.owner for delivery in first) == ["", "alice", "bob"]
    # Whoever has some under way has to wait longer, and not at all for what goes to a busy host of theirs alone.
    busy = {"alice": Busy(1, ["host-1.example"]), "bob": Busy(2, [])}
    assert [delivery.host for delivery in await take_deliveries(database, 1, 2, busy)] == ["host-2.example"]
    assert await take_deliveries(database, 3, 2, busy, ["host-1.example"]) == []
    assert [delivery.owner for delivery in await take_deliveries(database, 1, 3, busy)] == ["bob"]


async def test_no_receiver_is_waited_for_for_long(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "LIMIT_SECONDS", 0.1)
    receiver.hold = asyncio.Event()
    await ended(database, receiver.url)
    async with couriers(database) as courier:
        async with asyncio.timeout(60):
            await deliver_due(database, courier)
    assert (await outbox(database))[0]["problem"].startswith("no answer within")


# --- signed


def signature(key: bytes, headers: httpx.Headers, body: bytes) -> str:
    """As standardwebhooks.com has it."""
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@pytest.mark.parametrize("secret", [SECRET, "whsec_" + base64.b64encode(b"k" * 24).decode()])
async def test_it_is_signed_with_the_secret(database: Database, receiver: Receiver, secret: str) -> None:
    await ended(database, receiver.url)
    async with couriers(database, secret=secret) as courier:
        await deliver_due(database, courier)
    headers, body, _ = receiver.requests[0]
    key = b"k" * 24 if secret.startswith("whsec_") else secret.encode()
    assert headers["webhook-signature"] == signature(key, headers, body)
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60


async def test_while_the_secret_is_replaced_it_has_two_signatures(
    database: Database, receiver: Receiver, tmp_path: Path
) -> None:
    secrets = {"secret": "the new one, of 24 bytes at least", "previous-secret": SECRET}
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
    await ended(database, receiver.url)
    rotating = ApiSettings(auth="none", webhook_secret_file=tmp_path / "secret").webhook_secrets
    async with WebhookSender.open(PRIVATE, rotating) as poster:
        await deliver_due(database, WebhookDelivery(database, poster, Metrics(), notification))
    headers, body, _ = receiver.requests[0]
    expected = [signature(text.encode(), headers, body) for text in secrets.values()]
    assert headers["webhook-signature"].split(" ") == expected


@pytest.mark.parametrize("secret", ["short", "whsec_c2hvcnQ=", "whsec_not base64!"])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(auth="none", webhook_secret=secret)


# --- to whom


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "/hook",
        "//host/hook",
        "ftp://host/",
        "file:///etc/passwd",
        "https://",
        "https://user@host/",
        "https://user:secret@host/",
        "https://host:99999/",
        "https://ho st/",
        "https://[::1",
        "https://ho..st/",
        f"https://{'a' * 64}.example/",
        "https://host/" + "a" * 2048,
        "https://host/\n",
        5,
        ["https://host/"],
        {},
    ],
)
async def test_what_is_no_receiver_is_refused_when_the_run_is_accepted(shared: Api, url: Any) -> None:
    refused = await shared.http.post("/runs", json={"assistant_id": "steps", "webhook": url})
    assert check_problem(refused, 422, "invalid_request")["errors"][0]["pointer"] == "#/webhook"


@pytest.mark.parametrize(
    ("rules", "url", "allowed"),
    [
        (WebhookRules(), "https://hooks.example/x", True),
        (WebhookRules(), "https://hooks.example:8443/x", True),
        (WebhookRules(), "http://hooks.example/x", False),
        (WebhookRules(), "https://127.0.0.1/", False),
        (WebhookRules(), "https://[::1]/", False),
        (WebhookRules(), "https://169.254.169.254/latest", False),
        (PRIVATE, "http://127.0.0.1:8000/", True),
        (PRIVATE, "http://service.namespace.svc/", True),
        (PRIVATE, "http://8.8.8.8/", False),
        (PRIVATE, "http://169.254.169.254/latest", False),
        (PRIVATE, "https://0.0.0.0/", False),
        (WebhookRules(), "https://[fec0::1]/", False),
        (WebhookRules(), "https://[64:ff9b::7f00:1]/", False),
        (PRIVATE, "http://[fd20:ce::254]/", False),
        (PRIVATE, "http://[fd00:ec2::23]/", False),
        (PRIVATE, "http://[::ffff:168.63.129.16]/", False),
        (PRIVATE, "http://168.63.129.16/", False),
        (PRIVATE, "http://[fd12::1]/", True),
        (PRIVATE, "http://localhost:8000/", True),
        (PRIVATE, "http://127.1/", True),
        *(
            (rules, f"https://{host}/", False)
            for rules in (WebhookRules(), NETWORK)
            for host in (
                *("localhost", "LocalHost", "localhost.", "a.localhost", "localhost.localdomain", "ip6-loopback"),
                *("service.namespace.svc", "service.namespace.svc.cluster.local.", "127.1", "2130706433", "0x7f.1"),
                *("[::1]", "[::ffff:127.0.0.1]", "0"),
            )
        ),
        *((NETWORK, f"http://{host}/", True) for host in ("10.1.2.3", "192.168.1.1", "receiver", "[fd12::1]")),
        *((WebhookRules(), f"https://{host}/", False) for host in ("10.1.2.3", "0xa.1", "167772161", "[fd12::1]")),
        *(
            (WebhookRules(), f"https://{host}/", True)
            for host in ("notlocalhost", "localhost.example.com", "svc.example")
        ),
        (WebhookRules(allow_hosts=("hooks.example", "*.corp.example")), "https://hooks.example/", True),
        (WebhookRules(allow_hosts=("hooks.example", "*.corp.example")), "https://a.CORP.example/", True),
        (WebhookRules(allow_hosts=("hooks.example", "*.corp.example")), "https://corp.example/", False),
        (WebhookRules(allow_hosts=("hooks.example", "*.corp.example")), "https://evilcorp.example/", False),
        (WebhookRules(allow_hosts=("hooks.example",)), "https://hooks.example.evil.example/", False),
    ],
)
def test_the_settings_say_who_may_be_called(rules: WebhookRules, url: str, allowed: bool) -> None:
    if allowed:
        assert str(rules.check(url)).startswith(url[:8])
    else:
        with pytest.raises(Invalid):
            rules.check(url)


@pytest.mark.parametrize(
    ("reach", "addresses"),
    [
        (Reach.ALL, "8.8.8.8 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808"),
        (
            Reach.PRIVATE,
            "10.1.2.3 172.16.0.1 192.168.1.1 100.64.0.1 fd00::1 64:ff9b::a00:1",
        ),
        (Reach.LOCAL, "127.0.0.1 ::1 ::ffff:127.0.0.1 ::ffff:0:7f00:1 64:ff9b::7f00:1 ::1%1 127.255.0.1"),
        (
            Reach.NOBODY,
            "0.0.0.0 :: 169.254.169.254 fe80::1 224.0.0.1 ff02::1 240.0.0.1 255.255.255.255 2002:7f00:1:: 2001:0:1::1",
        ),
        (
            Reach.NOBODY,
            "fd00:ec2::254 100.100.100.200 192.0.0.192 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b:1::1",
        ),
        # What clouds hand out credentials at.
        (
            Reach.NOBODY,
            (
                "168.63.129.16 fd20:ce::254 fd00:ec2::23 fd00:ec2::253 fd00:42::42 fd00:a9fe:a9fe::1 169.254.170.2"
                " 169.254.170.23 169.254.0.23 169.254.42.42 fe80::a9fe:a9fe fe80::a9fe:a9fe%eth0 fd00:ec2::254%1"
            ),
        ),
        # The same, and what only this machine reaches, carried in another address.
        (
            Reach.NOBODY,
            (
                "::ffff:168.63.129.16 ::ffff:100.100.100.200 64:ff9b::a83f:8110 64:ff9b::6464:64c8 ::ffff:0:a83f:8110"
                " ::ffff:0:a9fe:a9fe ::a83f:8110 ::a9fe:a9fe ::7f00:1 2002:a9fe:a9fe:: 2002:a83f:8110::1"
                " 2001:0:a9fe:a9fe::1 2001::f5ff:fffe 64:ff9b:1::a9fe:a9fe ::ffff:169.254.169.254%1"
            ),
        ),
        (Reach.PRIVATE, "::ffff:10.0.0.1%1 fd12:3456::1 198.18.0.1"),
        (
            Reach.NOBODY,
            (
                "fec0::1 feff::1 febf::1 fec0::1%1 2001:db8::1 3fff::1 5f00::1 100::1 400::1 4000::1 ff0e::1 2001:20::1"
                " 2001:2::1 2620:4f:8000::1 0.0.0.1 192.0.0.8 192.0.0.170 192.0.2.1 198.51.100.1 203.0.113.1"
                " 192.88.99.1 192.31.196.1 192.52.193.1 192.175.48.1 239.1.1.1 255.0.0.1"
            ),
        ),
        (Reach.ALL, "2a00:1450:4001::1 2001:4860:4860::8888 2400:cb00::1 168.63.129.15 100.0.0.1 ::ffff:0:808:808"),
    ],
)
def test_who_can_reach_an_address(reach: Reach, addresses: str) -> None:
    for address in addresses.split():
        assert reach_of(ip_address(address)) is reach, address


def test_private_networks_are_for_local_mode_unless_said() -> None:
    for world, said, rules in (
        ("local", None, NETWORK),
        ("local", True, PRIVATE),
        ("local", False, WebhookRules()),
        ("kubernetes", None, WebhookRules()),
        ("kubernetes", True, PRIVATE),
    ):
        assert WebhookRules.of(ApiSettings(auth="none", world=world, webhook_allow_private=said)) == rules


async def test_a_private_receiver_is_refused_by_an_installation_that_calls_none(
    database_url: str, receiver: Receiver
) -> None:
    settings = ApiSettings(database_url=database_url, auth="none", webhook_allow_private=False)
    async with opened(settings) as api:
        for url in (receiver.url, receiver.url.replace("http:", "https:")):
            refused = await api.http.post("/runs", json={"assistant_id": "steps", "webhook": url})
            check_problem(refused, 422, "invalid_request")
        batch = [{"assistant_id": "steps"}, {"assistant_id": "steps", "webhook": receiver.url}]
        check_problem(await api.http.post("/runs/batch", json=batch), 422, "invalid_request")
        assert await api.database.fetch_all("SELECT 1 FROM runs") == []


class Names:
    """Stands for the name servers: each look-up takes the next answer, as one who rebinds a name would have it."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, url: httpx.URL) -> list[Any]:
        self.asked.append(url.host)
        return [ip_address(address) for address in self.answers.pop(0)]


async def test_a_name_that_leads_inside_is_not_called(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(["127.0.0.1", "10.0.0.1", "169.254.169.254"])
    monkeypatch.setattr(webhook_sender, "_look_up", names)
    await ended(database, f"https://rebound.example:{receiver.port}/")
    async with couriers(database, WebhookRules()) as courier:
        await deliver_due(database, courier)
    row = (await outbox(database))[0]
    assert row["failed_at"] is not None, "it is not asked again"
    assert names.asked == ["rebound.example"]
    assert receiver.requests == []


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A certificate for hooks.example alone, that the API believes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    return {"ssl_certfile": str(tmp_path / "cert.pem"), "ssl_keyfile": str(tmp_path / "key.pem")}


async def test_the_address_that_was_looked_at_is_called_under_the_receivers_own_name(
    tls: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked up once a try, so that nothing can be rebound between; the certificate must be the name's."""
    names = Names(["127.0.0.1"], ["127.0.0.1"])
    monkeypatch.setattr(webhook_sender, "_look_up", names)
    async with receiving(**tls) as receiver, WebhookSender.open(PRIVATE, RotatingSecret()) as poster:
        await poster.post(f"https://hooks.example:{receiver.port}/a", "id", b"{}", 0)
        assert receiver.requests[0][0]["host"] == f"hooks.example:{receiver.port}"
        assert names.asked == ["hooks.example"]
        with pytest.raises(NotTaken, match="certificate"):
            await poster.post(f"https://other.example:{receiver.port}/a", "id", b"{}", 0)
        assert len(receiver.requests) == 1


async def test_the_next_of_its_addresses_is_called_where_one_is_not_reached(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "_look_up", Names(["::1", "127.0.0.1"], ["::1"]))
    async with WebhookSender.open(PRIVATE, RotatingSecret()) as poster:
        await poster.post(f"http://two.example:{receiver.port}/", "id", b"{}", 0)
        assert len(receiver.requests) == 1
        with pytest.raises(NotTaken, match="Connect"):
            await poster.post(f"http://one.example:{receiver.port}/", "id", b"{}", 0)


async def test_a_name_that_does_not_exist_is_asked_for_again_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(_: httpx.URL) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(webhook_sender, "_look_up", look_up)
    await ended(database, "http://nowhere.invalid/")
    async with couriers(database) as courier:
        await deliver_due(database, courier)
    row = (await outbox(database))[0]
    assert row["failed_at"] is None
    assert row["problem"].startswith("the name cannot be resolved")


async def test_a_row_that_cannot_be_read_keeps_no_other_from_being_told(api: Api, receiver: Receiver) -> None:
    await ended(api.database, receiver.url)
    broken = """
    INSERT INTO webhooks (run_id, url, host, run, interrupts, next_try)
    VALUES (gen_random_uuid(), 'http://127.0.0.1:1/', 'x', '{}', '[]', now() - interval '1 hour')"""
    await api.database.execute(broken)
    await until(lambda: bool(receiver.requests))
    assert UUID(receiver.bodies[0]["run_id"])

    async def put_off() -> bool:
        return any(row["host"] == "x" and row["problem"] for row in await outbox(api.database))

    await eventually(put_off)
