"""The runner protocol, from the caller's side: one method a call, one dataclass an answer."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from relayrun_operator.loop.transport import Response, RunnerUnreachable, Transport

#: A claim may have to end the sessions of a frozen process, a few times 250 ms each.
_CALL_SECONDS = 10.0
_PROBE_SECONDS = 2.0

#: Heartbeats come every 2 s. A stream without them is opened anew, before its runner is given up.
_STREAM_SILENCE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The claim committed: the runner executes the attempt. `detail` is what else it said."""

    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlreadyFinished:
    """The run has ended, with this status; `detail` is the whole answer."""

    status: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The claim did not happen; `detail` depends on the reason."""

    reason: str
    detail: dict[str, Any]


Answer = Accepted | AlreadyFinished | Refused


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a runner says of itself. `troubles`: what stands in the way, a sentence and maybe a traceback each."""

    ready: bool
    troubles: tuple[str, ...] = ()


class RunnerClient:
    """Calls to one runner."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._transport = Transport(host, port, token)

    @property
    def url(self) -> str:
        """Where the runner listens."""
        return self._transport.url

    async def assign(
        self,
        run_id: str,
        attempt: int,
        graph: str,
        *,
        excused: bool,
        alone: bool,
        create: dict[str, Any] | None = None,
    ) -> Answer:
        """Give the attempt to the runner. RunnerUnreachable: the claim may have committed, or not.

        `create`: thread and payload of a run that is in no database yet.
        """
        body: dict[str, Any] = {"attempt": attempt, "graph": graph or None, "excused": excused, "alone": alone}
        if create is not None:
            body["create"] = create
        answer = await self._transport.call("PUT", f"/runs/{run_id}", json.dumps(body).encode(), seconds=_CALL_SECONDS)
        match answer.status:
            case 202:
                return Accepted(_object(answer.body))
            case 200:
                detail = _object(answer.body)
                return AlreadyFinished(str(detail["outcome"]["status"]), detail)
            case 404:
                return Refused("NotFound", {})
            case 409:
                detail = _object(answer.body)
                return Refused(str(detail.get("reason")), detail)
            case _:
                raise self._unclear(answer)

    async def finish(self, run_id: str, reason: str, message: str) -> dict[str, Any] | None:
        """End a run from outside. How it ended, which may be otherwise; None: it is in no database."""
        body = json.dumps({"reason": reason, "message": message}).encode()
        answer = await self._transport.call("POST", f"/runs/{run_id}/finish", body, seconds=_CALL_SECONDS)
        if answer.status not in (200, 404):
            raise self._unclear(answer)
        return _object(answer.body) if answer.status == 200 else None

    async def stop(self, run_id: str, attempt: int, action: str) -> bool:
        """Cancel (`interrupt`, `rollback`) or `abandon` the attempt; False: the runner has no such attempt."""
        target = f"/runs/{run_id}?attempt={attempt}&action={action}"
        answer = await self._transport.call("DELETE", target, seconds=_CALL_SECONDS)
        if answer.status not in (202, 404):
            raise self._unclear(answer)
        return answer.status == 202

    async def readiness(self) -> Readiness | None:
        """Whether the runner is ready; None while nobody answers."""
        try:
            answer = await self._transport.call("GET", "/readyz", seconds=_PROBE_SECONDS)
        except RunnerUnreachable:
            return None
        return Readiness(answer.status == 200, _troubles(_object(answer.body)))

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The stream of the runner's reports. RunnerUnreachable when it cannot be opened, breaks, or falls silent."""
        await self._transport.connect()  # for the first run, so that it need not wait for that
        async with self._transport.stream("/runs?watch=1", silence_seconds=_STREAM_SILENCE_SECONDS) as lines:
            yield (json.loads(line) async for line in lines)

    def close(self) -> None:
        """The runner is gone."""
        self._transport.close()

    def _unclear(self, answer: Response) -> RunnerUnreachable:
        text = answer.body[:200].decode(errors="replace")
        return RunnerUnreachable(f"runner at {self.url} answered {answer.status}: {text}")


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _troubles(body: dict[str, Any]) -> tuple[str, ...]:
    reasons = [reason for reason in body.get("reasons", ()) if reason.get("subject") != "start"]
    return tuple("\n".join(filter(None, (reason["message"], reason.get("traceback")))) for reason in reasons)
