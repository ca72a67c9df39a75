"""Runners, asked for what needs the compiled graph: a thread's state and history."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import httpx
import orjson
from pydantic import SecretStr

from relayrun_api.errors import ApiError, Invalid, NotFound, RunnerRefused, RunnersAway, ThreadBusy

logger = logging.getLogger("relayrun.api.runners")

_REFUSALS: dict[int, type[ApiError]] = {400: Invalid, 404: NotFound, 409: ThreadBusy, 422: Invalid}


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
    """How many runners there are; `problems` are sentences for `/status`."""

    ready: int
    desired: int
    problems: tuple[str, ...] = field(default=())


class RunnerSource(Protocol):
    """Where a world lists its runners."""

    async def able(self, agent: str, graph: str) -> Sequence[RunnerEntry]:
        """The ready runners that have the agent's graph."""
        ...

    def pools(self) -> Pools:
        """All runners, counted."""
        ...


class RunnersFile:
    """The list that the local world writes, read again when it has changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._runners: tuple[RunnerEntry, ...] = ()
        self._desired: int | None = None
        self._problems: tuple[str, ...] = ()

    async def able(self, agent: str, graph: str) -> Sequence[RunnerEntry]:
        """The ready runners that have the agent's graph."""
        self._read()
        return [r for r in self._runners if r.ready and r.agent == agent and graph in r.graphs]

    def pools(self) -> Pools:
        """All runners, counted; none while there is no file."""
        self._read()
        ready = sum(runner.ready for runner in self._runners)
        return Pools(ready, len(self._runners) if self._desired is None else self._desired, self._problems)

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


class Runners:
    """Asks a runner that has a graph."""

    def __init__(self, source: RunnerSource, client: httpx.AsyncClient, token: SecretStr) -> None:
        self._source = source
        self._client = client
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._turn = count()

    def pools(self) -> Pools:
        """The runners, counted."""
        return self._source.pools()

    async def ask(
        self,
        agent: str,
        graph: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> bytes:
        """The JSON a runner answers. A runner that is gone is passed over.

        Raises RunnersAway when none is up, and what the runner refuses as our own errors.
        """
        able = await self._source.able(agent, graph)
        first = next(self._turn)
        for turn in range(len(able)):
            runner = able[(first + turn) % len(able)]
            content = None if body is None else orjson.dumps(body)
            try:
                response = await self._client.request(
                    method, runner.url + path, params=params, content=content, headers=self._headers
                )
            except httpx.TransportError as error:
                logger.info("runner %s does not answer: %s", runner.name, error)
                continue
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return _body_of(response)
        raise RunnersAway(
            f"No runner that has graph {graph!r} is up: try again in a moment.", headers={"Retry-After": "1"}
        )


def _body_of(response: httpx.Response) -> bytes:
    if response.is_success:
        return response.content
    detail = _detail_of(response)
    if refusal := _REFUSALS.get(response.status_code):
        raise refusal(detail)
    raise RunnerRefused(f"The runner answered {response.status_code}: {detail}")


def _detail_of(response: httpx.Response) -> str:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return "no reason given, look at its log"
    if not isinstance(body, dict):
        return str(body)
    return str(body.get("detail") or body.get("message") or body.get("reason") or "no reason given")
