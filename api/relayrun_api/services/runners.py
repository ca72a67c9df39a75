"""Runners, asked for what needs the compiled graph: a thread's state and history."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

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
class RunnerList:
    """What the world says about its runners; `problems` are sentences for `/status`."""

    runners: tuple[RunnerEntry, ...] = ()
    desired: int | None = None
    problems: tuple[str, ...] = field(default=())


class RunnersFile:
    """The list that the local world writes, read again when it has changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._list = RunnerList()

    def read(self) -> RunnerList:
        """The list as it is now; empty while there is no file."""
        if self._path is None:
            return self._list
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                self._list = _parse(self._path.read_bytes())
                self._stamp = stamp
        except FileNotFoundError:
            self._list, self._stamp = RunnerList(), None
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("cannot read the list of runners %s: %s", self._path, error)
        return self._list


class Runners:
    """Asks a runner that has a graph."""

    def __init__(self, source: RunnersFile, client: httpx.AsyncClient, token: SecretStr) -> None:
        self._source = source
        self._client = client
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._turn = count()

    def list(self) -> RunnerList:
        """The runners as their world lists them."""
        return self._source.read()

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
        able = [r for r in self.list().runners if r.ready and r.agent == agent and graph in r.graphs]
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


def _parse(content: bytes) -> RunnerList:
    parsed = orjson.loads(content)
    listed = parsed if isinstance(parsed, dict) else {"runners": parsed}
    runners = tuple(
        RunnerEntry(
            name=entry["name"],
            url=entry["url"].rstrip("/"),
            agent=entry["agent"],
            graphs=tuple(entry.get("graphs") or ()),
            ready=bool(entry.get("ready", True)),
        )
        for entry in listed["runners"]
    )
    return RunnerList(runners, listed.get("desired"), tuple(map(str, listed.get("problems") or ())))
