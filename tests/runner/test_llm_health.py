"""What a runner finds out about language models and reports: sentences for each failure, and no key in any."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from relayrun_core.database import Database
from relayrun_core.db.agents import LlmReport, LlmVerdict, llm_reports, report_llm
from relayrun_core.runner_settings import RunnerSettings
from relayrun_runner.llm.endpoints import Endpoint, endpoints_of
from relayrun_runner.llm.health import LlmHealth, why_it_is_down
from tests.runner.agents import PLAY, PLAY_GRAPHS
from tests.runner.processes import runner_process, write_agent
from tests.runner.runs import accepted
from tests.support.model_server import ModelServer, model_server
from tests.support.runner import free_port
from tests.support.streams import serving_streams
from tests.support.waiting import until

KEY = "sk-of-the-tests"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as server:
        yield server


@pytest.fixture
def models(server: ModelServer) -> Iterator[ModelServer]:
    """A server that was not asked anything yet, and lists its models."""
    server.asked.clear()
    server.key = server.answer = server.gate = None
    yield server
    if server.gate is not None:
        server.gate.set()


def endpoint_at(url: str, **env: str) -> Endpoint:
    [endpoint] = endpoints_of(["openai"], {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, **env}, frozenset())
    return endpoint


async def asked(endpoint: Endpoint, limit_seconds: float = 5, *, verify: bool = False) -> str | None:
    async with httpx.AsyncClient(timeout=limit_seconds, verify=verify, trust_env=False) as client:
        return await why_it_is_down(client, endpoint, limit_seconds)


async def test_an_endpoint_that_lists_its_models_is_well(models: ModelServer) -> None:
    models.key = KEY
    assert await asked(endpoint_at(models.url)) is None
    [request] = models.asked
    assert (request.method, request.url.path) == ("GET", "/v1/models")


@pytest.mark.parametrize("body", [{"data": [{"id": "m"}]}, {"data": None}, {"models": []}, [{"id": "m"}]])
async def test_a_list_of_models_may_look_as_each_provider_likes(models: ModelServer, body: Any) -> None:
    models.answer = JSONResponse(body)
    assert await asked(endpoint_at(models.url)) is None


async def _megabytes() -> AsyncIterator[bytes]:
    yield b"["
    for _ in range(100):
        yield b" " * 100_000
    yield b"]"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (JSONResponse({}, 400), "400 from {}: check its key and its address"),
        (JSONResponse({}, 401), "401 from {}: check its key"),
        (JSONResponse({}, 403), "403 from {}: its key may not list models"),
        (JSONResponse({}, 404), "404 from {}: it has no list of models there: check its address"),
        (JSONResponse({}, 429), "429 from {}: too many requests"),
        (Response(status_code=503), "503 from {}: it is broken or overloaded"),
        (Response(status_code=204), "204 from {}: it sends no list of models, check its address"),
        (HTMLResponse("<h1>Sign in</h1>"), "no list of models from {}: check its address"),
        (JSONResponse("models"), "no list of models from {}: check its address"),
        (Response(b"[" * 100_000), "no list of models from {}: check its address"),
        (StreamingResponse(_megabytes()), "no list of models from {}: check its address"),
        (Response(b"no gzip" * 9, headers={"content-encoding": "gzip"}), "no answer from {}: DecodingError"),
    ],
)
async def test_an_answer_that_is_none_becomes_a_sentence(models: ModelServer, answer: Response, reason: str) -> None:
    models.answer = answer
    assert await asked(endpoint_at(models.url)) == reason.format(models.url)


async def test_an_endpoint_that_wants_a_key_and_gets_none_names_the_variable(models: ModelServer) -> None:
    models.key = KEY
    told = await asked(endpoint_at(models.url, OPENAI_API_KEY=""))
    assert told == f"401 from {models.url}: it needs a key, but OPENAI_API_KEY is not set"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_told_and_the_key_stays_here(models: ModelServer, status: int) -> None:
    async with model_server() as other:
        models.answer = RedirectResponse(f"{other.url}/models?key=x", status)
        told = await asked(endpoint_at(models.url))
        assert told == f"{status} from {models.url}: it redirects to {other.origin}, name the address that is meant"
        assert not other.asked


async def test_an_endpoint_that_does_not_answer_is_waited_for_only_so_long(models: ModelServer) -> None:
    models.gate = asyncio.Event()
    assert await asked(endpoint_at(models.url), 0.05) == f"no answer from {models.url} within 0.05 s"


async def test_drops_are_no_answer_in_time(models: ModelServer) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)  # no wait of a read is long, only all of them together

    models.answer = StreamingResponse(drip())
    assert await asked(endpoint_at(models.url), 0.2) == f"no answer from {models.url} within 0.2 s"


async def test_who_cannot_be_reached_is_told_as_the_system_says_it(models: ModelServer) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    assert await asked(endpoint_at(nobody)) == f"no answer from {nobody}: connection refused"
    assert await asked(endpoint_at("http://nobody.invalid/v1")) in (
        "no answer from http://nobody.invalid/v1: name or service not known",
        "no answer from http://nobody.invalid/v1: temporary failure in name resolution",
    )
    tls = models.url.replace("http:", "https:")
    told = await asked(endpoint_at(tls))
    assert told is not None
    assert told.startswith(f"no answer from {tls}: TLS fails, ")


async def test_a_certificate_that_nobody_trusts_is_told_and_no_key_is_sent(tmp_path: Path) -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read())
        writer.close()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(self_signed(tmp_path))
    async with serving_streams(serve, ssl=tls) as port:
        url = f"https://localhost:{port}/v1"
        told = await asked(endpoint_at(url), verify=True)
    assert told == f"no answer from {url}: its certificate is not trusted, self-signed certificate"
    assert not heard


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return file


async def test_name_and_password_in_an_address_are_sent_and_not_told(models: ModelServer) -> None:
    models.answer = JSONResponse({}, 401)
    told = await asked(endpoint_at(models.url.replace("//", "//me:secret@")))
    assert told == f"401 from {models.url}: check its key"
    assert models.asked[0].headers["authorization"].startswith("Basic ")


def health(database: Database, **settings: Any) -> LlmHealth:
    return LlmHealth(RunnerSettings(token="t", agent="support", **settings), uuid4(), database)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies and models."""
    for name in list(os.environ):
        if name.lower().endswith(("_proxy", "_api_key", "_base_url", "_api_base", "_host")):
            monkeypatch.delenv(name)
    return monkeypatch


async def test_a_proxy_of_the_environment_is_used(
    database: Database, models: ModelServer, bare: pytest.MonkeyPatch
) -> None:
    bare.setenv("HTTP_PROXY", models.origin)
    bare.setenv("OPENAI_BASE_URL", "http://llm.example/v1")
    await health(database).ask_and_report()
    [request] = models.asked
    assert request.headers["host"] == "llm.example"
    assert [report.reason for report in await llm_reports(database)] == [None]
    bare.setenv("HTTP_PROXY", "socks9://nowhere")
    await health(database).ask_and_report()
    reasons = {report.reason for report in await llm_reports(database)}
    assert "no request can be made, ValueError: check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE" in reasons


async def test_what_is_asked_follows_the_environment(
    database: Database, models: ModelServer, bare: pytest.MonkeyPatch
) -> None:
    checks = health(database)
    await checks.ask_and_report()
    assert await llm_reports(database) == []
    bare.setenv("OPENAI_BASE_URL", models.url)
    await checks.ask_and_report()
    [report] = await llm_reports(database)
    assert report == LlmReport("support", f"openai {models.url}", None, 1, report.age_seconds)
    assert 0 <= report.age_seconds < 5
    bare.delenv("OPENAI_BASE_URL")
    await checks.ask_and_report()
    assert await llm_reports(database) == []


async def test_no_key_is_logged_or_reported(
    database: Database, models: ModelServer, bare: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    models.answer = Response(KEY, 401)
    checks = health(database, log_level="debug")
    told = []
    for key in (KEY, f"{KEY}\n", f"{KEY}é"):
        for url in (models.url, f"http://127.0.0.1:{free_port()}/v1", KEY):
            bare.setenv("OPENAI_API_KEY", key)
            bare.setenv("OPENAI_BASE_URL", url)
            await checks.ask_and_report()
            told += await llm_reports(database)
    assert Counter(str(report.reason).split()[0] for report in told) == {
        "401": 1,
        "no": 1,
        "OPENAI_API_KEY": 4,
        "OPENAI_BASE_URL": 3,
    }
    assert "a language model is down: 401 from" in caplog.text
    assert KEY not in str(told) + caplog.text


async def test_a_change_is_logged_once(
    database: Database, models: ModelServer, bare: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relayrun.runner")
    bare.setenv("OPENAI_BASE_URL", models.url)
    checks = health(database)
    for status in (200, 503, 503, 200, 200):
        models.answer = JSONResponse({"data": []}, status)
        await checks.ask_and_report()
    assert [record.getMessage() for record in caplog.records if record.name == "relayrun.runner"] == [
        f"a language model is down: 503 from {models.url}: it is broken or overloaded",
        f"a language model answers again: openai {models.url}",
    ]


async def test_a_database_that_is_away_stops_nothing(
    database: Database, models: ModelServer, bare: pytest.MonkeyPatch
) -> None:
    bare.setenv("OPENAI_BASE_URL", models.url)
    url = f"postgresql://127.0.0.1:{free_port()}/nothing"
    async with Database.open(url, role="runner", min_size=0, timeout_seconds=0.1) as away:
        checks = health(away, llm_check_seconds=0.01)
        running = asyncio.create_task(checks.run())
        await until(lambda: len(models.asked) > 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_reports_of_runners_that_are_gone_neither_count_nor_stay(database: Database) -> None:
    gone, silent, here = uuid4(), uuid4(), uuid4()
    down = [LlmVerdict("openai a", "it is away"), LlmVerdict("openai b", "it is away")]
    for holder in (gone, silent, here):
        await report_llm(database, agent="a", holder=holder, verdicts=down, good_for_seconds=60)
    assert [(report.endpoint, report.runners) for report in await llm_reports(database)] == [
        ("openai a", 3),
        ("openai b", 3),
    ]
    later = "UPDATE llm_reports SET checked_at = checked_at - %s::interval, good_until = good_until - %s::interval"
    await database.execute(f"{later} WHERE holder = %s", ("61 s", "61 s", gone))
    # A machine that slept: its runner's own reports are old as well.
    await database.execute(f"{later} WHERE holder = %s", ("61 s", "61 s", here))
    assert [report.runners for report in await llm_reports(database)] == [1, 1]
    verdicts = [LlmVerdict("openai a")]
    await asyncio.gather(
        *(report_llm(database, agent="a", holder=here, verdicts=verdicts, good_for_seconds=60) for _ in range(4))
    )
    rows = await database.fetch_all("SELECT holder, endpoint, status FROM llm_reports ORDER BY holder = %s", (here,))
    assert [(row["holder"], row["endpoint"], row["status"]) for row in rows] == [
        (silent, "openai a", "down"),
        (silent, "openai b", "down"),
        (here, "openai a", "ok"),
    ]


async def test_a_report_waits_for_nobody_who_cleans_up(database: Database) -> None:
    await report_llm(database, agent="a", holder=uuid4(), verdicts=[LlmVerdict("x")], good_for_seconds=0)
    async with database.connection() as conn, conn.transaction():
        await conn.execute("SELECT FROM llm_reports FOR UPDATE")
        async with asyncio.timeout(60):
            await report_llm(database, agent="a", holder=uuid4(), verdicts=[LlmVerdict("y")], good_for_seconds=60)
    assert [report.endpoint for report in await llm_reports(database)] == ["y"]


async def reported(database: Database, condition: Callable[[list[LlmReport]], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition(await llm_reports(database)):
            await asyncio.sleep(0.02)


async def test_a_runner_reports_what_its_agent_uses_also_while_a_node_blocks_until_it_drains(
    tmp_path: Path, database: Database, models: ModelServer
) -> None:
    models.key = KEY
    # The key is in the agent's code, the address in its langgraph.json.
    code = f"import os\nos.environ['OPENAI_API_KEY'] = {KEY!r}\n{PLAY}"
    config = write_agent(tmp_path / "agent", code, graphs=PLAY_GRAPHS, env={"OPENAI_BASE_URL": models.url})
    async with runner_process(config, database.url, llm_check_seconds=0.05) as runner:
        await runner.wait_ready()
        await reported(database, lambda found: [report.reason for report in found] == [None])
        models.key = "another"
        await reported(database, lambda found: found[0].reason == f"401 from {models.url}: check its key")
        gate = tmp_path / "gate"
        run = await accepted(database, input={"block": 60, "gate": str(gate)})
        blocked = runner.log().count("event loop has been blocked") + 1
        assert (await runner.put(run)).status_code == 202
        await until(lambda: runner.log().count("event loop has been blocked for") == blocked)
        before = len(models.asked)
        await until(lambda: len(models.asked) > before + 3)
        assert runner.log().count("event loop has been blocked") == blocked
        gate.touch()
        await runner.wait_state(run, "Finished")
        runner.terminate()
        assert await runner.wait_exit() == 0
        assert await llm_reports(database) == []
        assert KEY not in runner.log()
        assert runner.log().count("a language model is down: 401") == 1
