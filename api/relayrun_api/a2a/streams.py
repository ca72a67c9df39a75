"""A task as an answer: a stream of its updates, or how it is once its run has ended."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response

from relayrun_api.a2a.dialects import Json, Version, streamed
from relayrun_api.a2a.rpc import RpcError, RpcId, refusal, result
from relayrun_api.a2a.tasks import Replayed, Task, is_over, output_of_run, snapshot, task_of_run
from relayrun_api.a2a.translator import A2aTranslator
from relayrun_api.http.streamed import Streamed
from relayrun_api.runs.ending import KEEPALIVE
from relayrun_api.runs.service import StartedRun
from relayrun_api.runs.streams import since_of
from relayrun_api.services import Services
from relayrun_api.streaming.follow import Since, follow
from relayrun_api.streaming.sse import HEADERS, HEARTBEAT, MEDIA_TYPE, START, Position, part_id
from relayrun_core.db.journal import END, Page, read_newest
from relayrun_core.ids import event_id
from relayrun_core.runs import Run

Render = Callable[[Json], Any]


class Call:
    """What answers need to know of a call."""

    def __init__(self, services: Services, request_id: RpcId, version: Version, history: int | None = None) -> None:
        self.services = services
        self.request_id = request_id
        self.version = version
        self.history = history


def task_stream(call: Call, task: Task, started: StartedRun, after: Position | None = None) -> Response:
    """The task as it is, and then what happens to it until it ends or asks; behind `after`: only what happens."""
    chunks = _updates(call, task, started, after)
    headers = {**HEADERS, **started.headers}
    return Streamed(_counted(call, chunks), media_type=MEDIA_TYPE, headers=headers, heartbeat=HEARTBEAT)


def task_ending(call: Call, started: StartedRun, render: Render) -> Response:
    """The task, once its run has ended; white space until then."""
    return Streamed(
        _ending(call, started, render), media_type="application/json", headers=started.headers, heartbeat=KEEPALIVE
    )


async def _counted(call: Call, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    with call.services.metrics.sse_connections.track_inprogress():
        async for chunk in chunks:
            yield chunk


async def _updates(call: Call, task: Task, started: StartedRun, after: Position | None) -> AsyncGenerator[bytes]:
    database, run = call.services.database, task.last
    frames = _Frames(call, run)
    since = since_of(started.run)
    if after is None:
        told, replayed = await snapshot(database, task, history=call.history)
        assert replayed is not None
        frames.begin(replayed)
        yield frames.snapshot(told)
        if is_over(told):
            return
        since = Since.FINISHED if replayed.ended else Since.UNKNOWN
    else:
        frames.begin(Replayed(task.translator(run)), after)
    async for page in follow(database, started.subscription, frames.read_to.seq, since):
        if page is not None:
            output = await output_of_run(database, run) if page.events[-1].event == END else None
            yield frames.page(page, output)


class _Frames:
    """Server-sent events of one run's updates for one reader, who has everything up to a position."""

    def __init__(self, call: Call, run: Run) -> None:
        self._call = call
        self._run = run
        self._translator: A2aTranslator
        self._after = START
        self.read_to = START

    def begin(self, replayed: Replayed, after: Position | None = None) -> None:
        """Go on from here. `after`: what the reader has, where the journal is translated from its start."""
        self._translator = replayed.translator
        self.read_to = replayed.position
        self._after = replayed.position if after is None else after

    def snapshot(self, task: Json) -> bytes:
        identity = None if self.read_to == START else event_id(self._run.number, self.read_to.seq)
        return self._frame(task, identity)

    def page(self, page: Page, output: Any) -> bytes:
        chunks: list[bytes] = []
        for event in page.events:
            updates = self._translator.translate(event.event, event.data, output)
            if event.seq < self._after.seq or (event.seq == self._after.seq and event.event != END):
                continue
            # Whoever has parts of this event is just behind the one before it.
            skip, self._after = self._after.parts, Position(event.seq)
            for part, update in enumerate(updates, start=1):
                if part > skip:
                    chunks.append(self._frame(update, part_id(page.number, event.seq, part, len(updates))))
        return b"".join(chunks)

    def _frame(self, thing: Json, identity: str | None) -> bytes:
        data = result(self._call.request_id, streamed(self._call.version, thing))
        head = f"id: {identity}\r\n".encode() if identity else b""
        return b"".join((head, b"data: ", data, b"\r\n\r\n"))


async def _ending(call: Call, started: StartedRun, render: Render) -> AsyncGenerator[bytes]:
    database = call.services.database
    since = since_of(started.run)
    async for _ in follow(database, started.subscription, since=since, read=read_newest):
        pass
    try:
        task = await task_of_run(database, started.run_id)
    except RpcError as error:
        yield refusal(call.request_id, error)
        return
    told, _ = await snapshot(database, task, history=call.history)
    yield result(call.request_id, render(told))
