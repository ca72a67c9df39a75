"""Checks periodically whether the agent's language models answer, and reports it for `/status`.

Asked for is the list of models: it costs no tokens, and a wrong key is refused. No sentence here has a key in it, which
is why none repeats what an exception says: a header that cannot be sent is quoted there.
"""

import asyncio
import logging
import os
import random
import socket
import ssl
from collections.abc import Iterator
from uuid import UUID

import httpx
import orjson

from relayrun_core.database import Database, is_transient
from relayrun_core.db.agents import LlmVerdict, report_llm, take_llm_reports_back
from relayrun_core.runner_settings import RunnerSettings
from relayrun_runner.llm.endpoints import Endpoint, endpoints_of, installed_clients

log = logging.getLogger("relayrun.runner")

# Runners that started together need not ask together for ever.
_JITTER = 0.2
# Two rounds and some time: a report may be missed, and a runner that is gone is soon forgotten.
_GOOD_FOR_ROUNDS = 2
_GOOD_FOR_MORE_SECONDS = 30.0
_TAKE_BACK_SECONDS = 1.0
# The longest list seen, a gateway's with hundreds of models, has about a sixth of this.
_LONGEST_LIST_BYTES = 4 << 20

_HEADERS = {"Accept": "application/json", "User-Agent": "relayrun"}
_ADVICE = {
    400: "check its key and its address",
    401: "check its key",
    403: "its key may not list models",
    404: "it has no list of models there: check its address",
    405: "it has no list of models there: check its address",
    407: "the proxy wants a name and a password",
    429: "too many requests",
}


class LlmHealth:
    """One runner's checks. Belongs to the protocol's loop: a node that blocks the graphs' loop delays none."""

    def __init__(self, settings: RunnerSettings, holder: UUID, database: Database) -> None:
        self._settings = settings
        self._holder = holder
        self._database = database
        self._installed: frozenset[str] | None = None
        self._tls: ssl.SSLContext | None = None
        self._reported: dict[str, str | None] = {}

    async def run(self) -> None:
        """Ask and report for ever, whatever comes of it. When cancelled, what was reported is taken back."""
        try:
            while True:
                try:
                    await self.ask_and_report()
                except Exception:
                    log.exception("the language models were not checked")
                await asyncio.sleep(self._settings.llm_check_seconds * random.uniform(1, 1 + _JITTER))
        finally:
            await self._take_back()

    async def ask_and_report(self) -> None:
        """One round. While the database is away nothing is reported."""
        if self._installed is None:
            self._installed = await asyncio.to_thread(installed_clients)
        # Anew each time: author code may set variables when it runs.
        endpoints = endpoints_of(self._settings.llm_checks, os.environ, self._installed)
        if not endpoints and not self._reported:
            return
        verdicts = await self._ask(endpoints)
        self._log_changes(verdicts)
        try:
            await report_llm(
                self._database,
                agent=self._settings.agent,
                holder=self._holder,
                verdicts=verdicts,
                good_for_seconds=self._settings.llm_check_seconds * _GOOD_FOR_ROUNDS + _GOOD_FOR_MORE_SECONDS,
            )
        except Exception as error:
            if not is_transient(error):
                raise
            log.info("what the language models said is reported later: the database does not answer")

    async def _ask(self, endpoints: list[Endpoint]) -> list[LlmVerdict]:
        limit_seconds = self._settings.llm_check_limit_seconds
        try:
            if self._tls is None:
                self._tls = await asyncio.to_thread(_trust)
            # A new one each time: it reads the proxies, and makes connections that prove something.
            client = httpx.AsyncClient(verify=self._tls, timeout=limit_seconds, headers=_HEADERS)
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            kind = type(error).__name__
            reason = f"no request can be made, {kind}: check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
            return [LlmVerdict(endpoint.name, reason) for endpoint in endpoints]
        async with client, asyncio.TaskGroup() as tasks:
            asked = {
                endpoint.name: tasks.create_task(why_it_is_down(client, endpoint, limit_seconds))
                for endpoint in endpoints
            }
        return [LlmVerdict(name, task.result()) for name, task in asked.items()]

    def _log_changes(self, verdicts: list[LlmVerdict]) -> None:
        before, self._reported = self._reported, {verdict.endpoint: verdict.reason for verdict in verdicts}
        for verdict in verdicts:
            if verdict.reason and verdict.reason != before.get(verdict.endpoint):
                log.warning("a language model is down: %s", verdict.reason)
            elif not verdict.reason and before.get(verdict.endpoint):
                log.info("a language model answers again: %s", verdict.endpoint)

    async def _take_back(self) -> None:
        if not self._reported:
            return
        try:
            async with asyncio.timeout(_TAKE_BACK_SECONDS):
                await take_llm_reports_back(self._database, self._holder)
        except Exception as error:  # noqa: BLE001 - reports that stay are soon no longer good
            log.info("reports about language models were not taken back: %r", error)


async def why_it_is_down(client: httpx.AsyncClient, endpoint: Endpoint, limit_seconds: float) -> str | None:
    """Ask for the list of models: a sentence when it does not come in time, else None. Redirects are not followed."""
    if endpoint.problem:
        return endpoint.problem
    where = endpoint.address
    try:
        async with (
            asyncio.timeout(limit_seconds),
            client.stream("GET", endpoint.url, headers=endpoint.headers, follow_redirects=False) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                return f"{answer.status_code} from {where}: {_advice(answer, endpoint)}"
            is_list = _is_list(await _read(answer))
    except (TimeoutError, httpx.TimeoutException):
        return f"no answer from {where} within {limit_seconds:g} s"
    except Exception as error:  # noqa: BLE001 - a client raises many things, and to the agent all mean the same
        return f"no answer from {where}: {_cause(error)}"
    return None if is_list else f"no list of models from {where}: check its address"


def _trust() -> ssl.SSLContext:
    """What any provider's client trusts: some bring their own certificates, some use the system's."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def _advice(answer: httpx.Response, endpoint: Endpoint) -> str:
    status = answer.status_code
    if answer.next_request is not None:
        # A key is for the host that it was set for; and clients ask by POST, which many redirects turn into GET.
        there = answer.next_request.url
        return f"it redirects to {there.scheme}://{there.netloc.decode()}, name the address that is meant"
    if endpoint.keyless and status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return f"it needs a key, but {endpoint.keyless} is not set"
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return "it is broken or overloaded"
    return _ADVICE.get(status, "it sends no list of models, check its address")


async def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _LONGEST_LIST_BYTES:
            return b""
    return bytes(body)


def _is_list(body: bytes) -> bool:
    try:
        value = orjson.loads(body)
    except ValueError:
        return False
    # Of models or, without any, sometimes null.
    return isinstance(value, list) or (isinstance(value, dict) and ("data" in value or "models" in value))


def _cause(error: BaseException) -> str:
    """What the operating system or TLS said, else the kind of error."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted, {cause.verify_message}"
            case ssl.SSLError(reason=str(reason)):
                return f"TLS fails, {reason.replace('_', ' ').lower()}"
            case socket.gaierror():
                return str(cause.strerror).lower()
            case OSError(errno=int(number)):
                return os.strerror(number).lower()  # asyncio has put its own words into the error
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    left: list[BaseException | None] = [error]
    while left:
        if (cause := left.pop()) is None:
            continue
        yield cause
        left.extend(cause.exceptions if isinstance(cause, BaseExceptionGroup) else [])
        left.append(cause.__cause__ or cause.__context__)
