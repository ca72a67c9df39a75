"""The client of the runner protocol: one method for each call."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from relayrun_core.runner_protocol import (
    STARTING,
    Accepted,
    AlreadyFinished,
    AssignAnswer,
    AssignRequest,
    FinishRequest,
    Invalid,
    KnownBody,
    KnownRequest,
    Line,
    NewRunBody,
    ReadinessBody,
    StopAction,
    Trouble,
    parse_line,
    parse_refusal,
)
from relayrun_operator.engine import Assign, RunView
from relayrun_operator.loop.transport import OneToken, Response, RunnerUnreachable, Tokens, Transport

logger = logging.getLogger("relayrun.loop")

#: A claim may have to end the sessions of a frozen process, a few times 250 ms each.
_CALL_SECONDS = 10.0
_PROBE_SECONDS = 2.0
# While it loads its graphs, it answers as soon as they are there.
_READY = "/readyz?wait"

#: Heartbeats come every 2 s. A stream without them is opened anew, before its runner is given up.
_STREAM_SILENCE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a runner says of itself. `troubles`: what stands in the way, a sentence and maybe a traceback each.

    `waits_for`: what has to happen elsewhere first, a sentence each, as that the database does not answer.
    """

    ready: bool
    troubles: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()


def assign_request(
    run: RunView, decision: Assign, create: NewRunBody | None = None, *, pinned: bool = False
) -> AssignRequest:
    """The body of the PUT that carries out the decision. `create`: of a run that is in no database yet."""
    return AssignRequest(
        attempt=decision.attempt,
        graph=run.graph or None,
        excused=decision.excused,
        alone=decision.alone,
        pinned=pinned,
        create=create,
    )


class RunnerClient:
    """Calls to one runner."""

    def __init__(self, host: str, port: int, token: str | Tokens) -> None:
        self._transport = Transport(host, port, OneToken(token) if isinstance(token, str) else token)

    @property
    def refused(self) -> bool:
        """Whether the runner's last word was that it has another token."""
        return self._transport.refused

    @property
    def url(self) -> str:
        """Where the runner listens."""
        return self._transport.url

    async def assign(self, run_id: str, request: AssignRequest) -> AssignAnswer:
        """Give the attempt to the runner. RunnerUnreachable: the claim may have committed, or not."""
        try:
            body = request.model_dump_json(exclude=None if request.create else {"create"}).encode()
        except PydanticSerializationError:
            return Invalid(message="the AgentRun is nested too deep: make its input flatter")
        answer = await self._transport.call("PUT", f"/runs/{run_id}", body, seconds=_CALL_SECONDS)
        with self._must_be_clear(answer):
            match answer.status:
                case Accepted.http_status:
                    return Accepted.parse(answer.body)
                case AlreadyFinished.http_status:
                    return AlreadyFinished.parse(answer.body)
                case 400 | 404 | 409:
                    return parse_refusal(answer.body)
        raise self._unclear(answer)

    async def finish(self, run_id: str, wanted: FinishRequest) -> AlreadyFinished | None:
        """End a run from outside. How it ended, which may be otherwise; None: it is in no database."""
        body = wanted.model_dump_json().encode()
        answer = await self._transport.call("POST", f"/runs/{run_id}/finish", body, seconds=_CALL_SECONDS)
        if answer.status == 404:
            return None
        with self._must_be_clear(answer):
            if answer.status == AlreadyFinished.http_status:
                return AlreadyFinished.parse(answer.body)
        raise self._unclear(answer)

    async def is_known(self, run_id: str, wanted: KnownRequest) -> bool:
        """Whether an AgentRun of this name and spec was there before. Runners of versions before know none."""
        body = wanted.model_dump_json().encode()
        answer = await self._transport.call("POST", f"/runs/{run_id}/known", body, seconds=_CALL_SECONDS)
        if answer.status == 404:
            return False
        with self._must_be_clear(answer):
            if answer.status == 200:
                return KnownBody.parse(answer.body).known
        raise self._unclear(answer)

    async def stop(self, run_id: str, attempt: int, action: StopAction) -> bool:
        """Stop the attempt; False: the runner has no such attempt."""
        target = f"/runs/{run_id}?attempt={attempt}&action={action}"
        answer = await self._transport.call("DELETE", target, seconds=_CALL_SECONDS)
        if answer.status not in (202, 404):
            raise self._unclear(answer)
        return answer.status == 202

    async def readiness(self) -> Readiness | None:
        """Whether the runner is ready, a second after the question at most; None while nobody answers."""
        try:
            answer = await self._transport.call("GET", _READY, seconds=_PROBE_SECONDS)
            body = ReadinessBody.parse(answer.body)
        except RunnerUnreachable:
            return None
        except ValidationError:
            return Readiness(ready=False)
        reasons = [trouble for trouble in body.reasons if trouble.subject != STARTING]
        return Readiness(
            answer.status == 200,
            troubles=tuple(_sentence(trouble) for trouble in reasons if not trouble.waiting),
            waits_for=tuple(trouble.message for trouble in reasons if trouble.waiting),
        )

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[Line]]:
        """The stream of the runner's reports. RunnerUnreachable when it cannot be opened, breaks, or falls silent."""
        await self._transport.connect()  # for the first run, so that it need not wait for that
        async with self._transport.stream("/runs?watch=1", silence_seconds=_STREAM_SILENCE_SECONDS) as lines:
            yield self._parse(lines)

    def close(self) -> None:
        """The runner is gone."""
        self._transport.close()

    async def _parse(self, lines: AsyncIterator[bytes]) -> AsyncIterator[Line]:
        async for line in lines:
            try:
                parsed = parse_line(line)
            except ValidationError as error:
                logger.warning("runner at %s says what this version does not know: %s", self.url, error)
            else:
                yield parsed

    @contextmanager
    def _must_be_clear(self, answer: Response) -> Iterator[None]:
        try:
            yield
        except ValidationError as error:
            raise self._unclear(answer) from error

    def _unclear(self, answer: Response) -> RunnerUnreachable:
        text = answer.body[:200].decode(errors="replace")
        return RunnerUnreachable(f"runner at {self.url} answered {answer.status}: {text}")


def _sentence(trouble: Trouble) -> str:
    return "\n".join(filter(None, (trouble.message, trouble.traceback)))
