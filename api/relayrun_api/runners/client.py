"""The client of runners, for what needs the compiled graph: a thread's state and history."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
import orjson

from relayrun_api.http.errors import ApiError, Invalid, NotFound, RunnerRefused, RunnersAway, SearchTooSlow, ThreadBusy
from relayrun_api.http.shares import ASKING_USER, Shares
from relayrun_api.runners.pools import AgentPool, local_pool
from relayrun_api.runners.transport import RunnerReading
from relayrun_core.rotating import RotatingSecret, bearer
from relayrun_core.runner_requests import READING_SLOW, user_headers

logger = logging.getLogger("relayrun.api.runners")

Answer = TypeVar("Answer", httpx.Response, RunnerReading)

_REFUSALS: dict[int, type[ApiError]] = {
    400: Invalid,
    404: NotFound,
    408: SearchTooSlow,
    409: ThreadBusy,
    422: Invalid,
}


@dataclass(frozen=True)
class RunnerEntry:
    """A runner as its world lists it."""

    name: str
    url: str
    agent: str
    graphs: tuple[str, ...] = ()
    ready: bool = True


@dataclass(frozen=True)
class Pools:
    """How many runners there are; `problems` are sentences for `/status`.

    `starting`: the world has just begun, and no runner has registered its graphs since.
    """

    ready: int
    desired: int
    problems: tuple[str, ...] = field(default=())
    starting: bool = False


class RunnerSource(Protocol):
    """Where a world lists its runners."""

    async def able(self, agent: str, graph: str) -> Sequence[RunnerEntry]:
        """The ready runners that have the agent's graph."""
        ...

    def pools(self) -> Pools:
        """All runners, counted."""
        ...

    def pool(self, agent: str) -> AgentPool | None:
        """What is known of one agent's runners; None where there is no such agent, as far as known."""
        ...

    def agents(self) -> Sequence[str] | None:
        """The names of all agents; None while that is not known."""
        ...


class RunnersFile:
    """The list that the local world writes, read again when it has changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._runners: tuple[RunnerEntry, ...] = ()
        self._desired: int | None = None
        self._problems: tuple[str, ...] = ()
        self._starting = False
        self._listed: Mapping[str, Any] = {"runners": ()}

    async def able(self, agent: str, graph: str) -> Sequence[RunnerEntry]:
        """The ready runners that have the agent's graph."""
        self._read()
        return [r for r in self._runners if r.ready and r.agent == agent and graph in r.graphs]

    def pools(self) -> Pools:
        """All runners, counted; none while there is no file."""
        self._read()
        ready = sum(runner.ready for runner in self._runners)
        desired = len(self._runners) if self._desired is None else self._desired
        return Pools(ready, desired, self._problems, self._starting)

    def pool(self, agent: str) -> AgentPool | None:
        """What is known of one agent's runners."""
        self._read()
        return local_pool(agent, self._listed, self._desired)

    def agents(self) -> Sequence[str] | None:
        """The local agent, where the list names it; None where the list names none."""
        self._read()
        name = (self._listed.get("agent") or {}).get("name")
        return None if name is None else sorted({name, *(runner.agent for runner in self._runners)})

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                self._parse(self._path.read_bytes())
                self._stamp = stamp
        except FileNotFoundError:
            self._runners, self._desired, self._problems, self._stamp = (), None, (), None
            self._starting, self._listed = False, {"runners": ()}
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("cannot read the list of runners %s: %s", self._path, error)

    def _parse(self, content: bytes) -> None:
        parsed = orjson.loads(content)
        listed = parsed if isinstance(parsed, dict) else {"runners": parsed}
        self._runners = tuple(
            RunnerEntry(
                name=entry["name"],
                url=entry["url"].rstrip("/"),
                agent=entry["agent"],
                graphs=tuple(entry.get("graphs") or ()),
                ready=bool(entry.get("ready", True)),
            )
            for entry in listed["runners"]
        )
        self._desired = listed.get("desired")
        self._problems = tuple(map(str, listed.get("problems") or ()))
        self._starting = bool(listed.get("starting"))
        self._listed = listed


class Runners:
    """Asks a runner that has a graph."""

    def __init__(self, source: RunnerSource, client: httpx.AsyncClient, tokens: RotatingSecret, shares: Shares) -> None:
        self._source = source
        self._client = client
        self._tokens = tokens
        self._shares = shares
        self._turn = count()

    def pools(self) -> Pools:
        """The runners, counted."""
        return self._source.pools()

    def pool(self, agent: str) -> AgentPool | None:
        """What is known of one agent's runners."""
        return self._source.pool(agent)

    def agents(self) -> Sequence[str] | None:
        """The names of all agents; None while that is not known."""
        return self._source.agents()

    @property
    def authorization(self) -> str:
        """What runners want to hear of the API, and nobody else may."""
        return bearer(self._tokens.all())

    async def able(self, agent: str, graph: str) -> Sequence[RunnerEntry]:
        """The ready runners that have the agent's graph, each time with another one first."""
        able = await self._source.able(agent, graph)
        first = next(self._turn) % (len(able) or 1)
        return [*able[first:], *able[:first]]

    async def ask(
        self,
        agent: str,
        graph: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        seconds: float | None = None,
    ) -> bytes:
        """The JSON a runner answers. A runner that is gone is passed over, one that is too slow once: it may do what it
        was asked later, so that whatever is asked for must do no harm twice.

        `seconds`: how long each may take, where that is not as long as for all else.
        Raises RunnersAway when none is up or answers in time, TooManyAtOnce for whom many were asked already, and what
        the runner refuses as our own errors.
        """
        limit: dict[str, Any] = {} if seconds is None else {"timeout": httpx.Timeout(seconds, connect=1.0)}
        content, headers = None if body is None else orjson.dumps(body), self._headers()

        async def send(runner: RunnerEntry) -> httpx.Response:
            return await self._client.request(
                method, runner.url + path, params=params, content=content, headers=headers, **limit
            )

        async with self._shares.asking():
            return _body_of(await self._answer(agent, graph, send))

    async def read(self, agent: str, graph: str, path: str, body: Any) -> RunnerReading:
        """The JSON that a runner answers to a POST, begun: who reads it closes it.

        A runner that goes before it has told the beginning is passed over, as in `ask`. Raises as `ask`. It counts as a
        question until it is closed.
        """
        content, headers = orjson.dumps(body), self._headers()

        async def send(runner: RunnerEntry) -> RunnerReading:
            request = self._client.build_request("POST", runner.url + path, content=content, headers=headers)
            return await RunnerReading.begin(await self._client.send(request, stream=True))

        async with AsyncExitStack() as share:
            await share.enter_async_context(self._shares.asking())
            reading = await self._answer(agent, graph, send)
            if not reading.response.is_success:
                _body_of(reading.response)
            if reading.complete is None:
                reading.closes.push_async_callback(share.pop_all().aclose)
        return reading

    def _headers(self) -> list[tuple[str, str]]:
        return [("Authorization", self.authorization), *user_headers(ASKING_USER.get())]

    async def _answer(self, agent: str, graph: str, send: Callable[[RunnerEntry], Awaitable[Answer]]) -> Answer:
        too_slow: httpx.ReadTimeout | None = None
        for runner in await self.able(agent, graph):
            try:
                answer = await send(runner)
            except httpx.ReadTimeout as error:
                logger.warning("runner %s does not answer in time", runner.name)
                if too_slow is not None:
                    break
                too_slow = error
                continue
            except httpx.TransportError as error:
                logger.info("runner %s does not answer: %s", runner.name, error)
                continue
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                logger.warning("runner %s refuses our token: it has another Secret, or an older one", runner.name)
            elif answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
        if too_slow is not None:
            raise _too_slow() from too_slow
        raise RunnersAway(
            f"No runner that has graph {graph!r} is available: try again in a moment.", headers={"Retry-After": "1"}
        )


def _too_slow() -> RunnersAway:
    return RunnersAway(
        "The runners are up and did not answer in time, something in the agent's code blocks: try again, after a look "
        "whether it was done.",
        headers={"Retry-After": "5"},
    )


def _body_of(response: httpx.Response) -> bytes:
    if response.is_success:
        return response.content
    detail = _detail_of(response)
    if response.status_code == httpx.codes.GATEWAY_TIMEOUT:
        if _reason_of(response) == READING_SLOW:
            raise RunnersAway(f"This took too long: {detail}. Try again in a moment.", headers={"Retry-After": "5"})
        raise _too_slow()
    if refusal := _REFUSALS.get(response.status_code):
        raise refusal(detail)
    raise RunnerRefused(f"The runner answered {response.status_code}: {detail}")


def _reason_of(response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)["reason"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return None


def _detail_of(response: httpx.Response) -> str:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return "no reason given, look at its log"
    if not isinstance(body, dict):
        return str(body)
    return str(body.get("detail") or body.get("message") or body.get("reason") or "no reason given")
