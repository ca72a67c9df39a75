"""The event protocol's commands, on behalf of a caller.

What a command may ask and cannot have is a `Refusal`, which its answer names; what is wrong with the request (whose
thread it is, how many runs it may start, whether a runner is up) is refused as on every other route.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from relayrun_api.auth import Principal
from relayrun_api.event_protocol.models import (
    CheckpointsParams,
    Done,
    ForkParams,
    Refusal,
    RespondParams,
    StartParams,
    StateParams,
    ThreadCommand,
    TreeParams,
    checked,
)
from relayrun_api.event_protocol.run_state import PROTOCOL_MODES
from relayrun_api.event_protocol.seq import before_run
from relayrun_api.event_protocol.translator import tree_of
from relayrun_api.http.errors import AssistantNotFound, IdempotencyKeyReused, Invalid
from relayrun_api.http.models import RunConfig
from relayrun_api.http.responses import loads, run_headers
from relayrun_api.runs.models import RunCreate
from relayrun_api.runs.service import StartedRun, StartRun, sees_run
from relayrun_api.runs.specs import spec_of_run
from relayrun_api.services import Services
from relayrun_api.threads.service import ThreadRef, find_thread, visible_thread
from relayrun_core import errors as core
from relayrun_core.db.rows import Thread
from relayrun_core.db.runs import get_run, list_runs
from relayrun_core.db.starting import Terms
from relayrun_core.runs import Run

_NOT_HERE: Mapping[str, str] = {
    "subscription.subscribe": "Subscribe with POST /threads/{id}/stream/events, or on a WebSocket at that path.",
    "subscription.unsubscribe": "Over HTTP a subscription is a connection: close it.",
    "subscription.reconnect": "Open the stream again with `since`: the `seq` of the last event.",
    "input.inject": "A run takes no input once it has begun: start another with `run.start`, which waits its turn.",
}


class Commands:
    """Carries out one caller's commands on one thread."""

    def __init__(self, services: Services, caller: Principal, thread: ThreadRef, terms: Terms) -> None:
        self._services = services
        self._caller = caller
        self._thread = thread
        self._terms = terms
        self._methods: Mapping[str, Callable[[dict[str, Any]], Awaitable[Done]]] = {
            "run.start": self._start,
            "input.respond": self._respond,
            "agent.getTree": self._tree,
            "state.get": self._state,
            "state.listCheckpoints": self._checkpoints,
            "state.fork": self._fork,
        }

    async def carry_out(self, command: ThreadCommand) -> Done:
        """Do what a command asks. Raises Refusal, and the API's errors."""
        if reason := _NOT_HERE.get(command.method):
            raise Refusal("not_supported", reason)
        method = self._methods.get(command.method)
        if method is None:
            raise Refusal("unknown_command", f"There is no command {command.method!r}: use {', '.join(self._methods)}.")
        try:
            return await method(command.params)
        except IdempotencyKeyReused:
            raise
        except (Invalid, AssistantNotFound) as error:
            raise Refusal("invalid_argument", error.detail) from error
        except core.ResumeConflict as error:
            raise Refusal("no_such_interrupt", f"{error}.") from error
        except core.ThreadBusyError as error:
            raise Refusal("unknown_error", f"{error}.") from error

    async def _start(self, params: dict[str, Any]) -> Done:
        parsed = checked(StartParams, params)
        config, checkpoint = _fork_of(parsed.config)
        body = RunCreate.model_validate(
            {**parsed.model_dump(exclude={"config"}, exclude_unset=True), "config": config, "checkpoint_id": checkpoint}
        )
        if parsed.input is not None and checkpoint is None and (question := await self._question()) is not None:
            answer = {"resume": {question: parsed.input}}
            body = RunCreate.model_validate({**body.model_dump(exclude_unset=True), "input": None, "command": answer})
        return await self._started(body)

    async def _question(self) -> str | None:
        """The one question that the thread waits at, which new input then answers."""
        thread = await find_thread(self._services.database, self._caller, self._thread)
        if thread is None or thread.status != "interrupted" or not thread.interrupts:
            return None
        if len(thread.interrupts) > 1:
            asked = ", ".join(entry.id for entry in thread.interrupts)
            raise Refusal(
                "invalid_argument", f"The thread waits for several answers: send them with `input.respond`, to {asked}."
            )
        return thread.interrupts[0].id

    async def _respond(self, params: dict[str, Any]) -> Done:
        parsed = checked(RespondParams, params)
        thread = await visible_thread(self._services.database, self._caller, self._thread)
        asked = {entry.id for entry in thread.interrupts}
        if not asked:
            raise Refusal("no_such_run", "No run of this thread waits for an answer.")
        answers = {entry.interrupt_id: entry.response for entry in parsed.responses}
        if unknown := answers.keys() - asked:
            raise Refusal(
                "no_such_interrupt",
                f"The thread has no open question {min(unknown)!r}: it waits at {', '.join(sorted(asked))}.",
            )
        resume: dict[str, Any] = {"resume": answers}
        resume |= {name: getattr(parsed, name) for name in ("update", "goto") if name in parsed.model_fields_set}
        body = {"command": resume, "config": parsed.config, "metadata": parsed.metadata}
        done = await self._started(await self._going_on(thread, body))
        # As the Agent Server has it: the run's id comes with its events.
        return Done({}, done.through, done.headers)

    async def _fork(self, params: dict[str, Any]) -> Done:
        parsed = checked(ForkParams, params)
        thread = await visible_thread(self._services.database, self._caller, self._thread)
        if not await self._has_checkpoint(thread, parsed.checkpoint_id):
            raise Refusal(
                "no_such_checkpoint", f"The thread has no checkpoint {parsed.checkpoint_id!r}: list its checkpoints."
            )
        body = {"input": parsed.input, "config": parsed.config, "checkpoint_id": parsed.checkpoint_id}
        done = await self._started(await self._going_on(thread, body))
        return Done({**done.result, "thread_id": self._thread.sent}, done.through, done.headers)

    async def _tree(self, params: dict[str, Any]) -> Done:
        parsed = checked(TreeParams, params)
        thread = await visible_thread(self._services.database, self._caller, self._thread)
        run = await self._run(parsed.run_id) if parsed.run_id else await self._newest(thread)
        if run is None or run.thread_id != thread.thread_id:
            raise Refusal("no_such_run", "The thread has no such run.")
        return Done({"tree": await tree_of(self._services.database, run)})

    async def _state(self, params: dict[str, Any]) -> Done:
        parsed = checked(StateParams, params)
        thread = await visible_thread(self._services.database, self._caller, self._thread)
        at = {"checkpoint_ns": "|".join(parsed.namespace)} if parsed.namespace else {}
        state = loads(await self._services.states.state(thread, checkpoint=at, subgraphs=False))
        if parsed.namespace and state.get("created_at") is None:
            raise Refusal(
                "no_such_namespace", f"No graph has run at {'|'.join(parsed.namespace)!r}: see `agent.getTree`."
            )
        values = state.get("values") or {}
        if parsed.keys is not None and isinstance(values, dict):
            values = {key: values[key] for key in parsed.keys if key in values}
        found = (state.get("checkpoint") or {}).get("checkpoint_id")
        checkpoint = {"checkpoint": {"id": found, "ns": "|".join(parsed.namespace)}} if found else {}
        return Done({"values": values, **checkpoint})

    async def _checkpoints(self, params: dict[str, Any]) -> Done:
        parsed = checked(CheckpointsParams, params)
        thread = await visible_thread(self._services.database, self._caller, self._thread)
        query: dict[str, Any] = {"limit": parsed.limit, "select": ["checkpoint", "created_at", "metadata"]}
        if parsed.before is not None:
            query["before"] = parsed.before
        if parsed.namespace:
            query["checkpoint"] = {"checkpoint_ns": "|".join(parsed.namespace)}
        history = await self._services.states.history(thread, query)
        states = loads(history if isinstance(history, bytes) else await history.whole())
        return Done({"checkpoints": [_summary(state) for state in states]})

    async def _going_on(self, thread: Thread, body: dict[str, Any]) -> RunCreate:
        """A run with the assistant of the thread's newest one."""
        newest = await self._newest(thread)
        if newest is None:
            raise Refusal("no_such_run", "The thread has no run that can continue: start one with `run.start`.")
        assistant = newest.assistant_id or newest.graph
        return RunCreate.model_validate({"assistant_id": str(assistant), **body})

    async def _started(self, body: RunCreate) -> Done:
        services = self._services
        assistant = await services.assistant_lookup.to_run(self._caller, body.assistant_id, self._thread.thread_id)
        spec = spec_of_run(body.model_copy(update={"stream_subgraphs": True}), assistant, PROTOCOL_MODES)
        mark = self._caller.metadata or {}
        request = StartRun(assistant, spec, self._thread, if_not_exists="create", mark=mark)
        started = await services.runs.start(self._caller, request, self._terms)
        started.subscription.close()
        return await self._done(started)

    async def _done(self, started: StartedRun) -> Done:
        run = await get_run(self._services.database, started.run_id)
        through = None if run is None else before_run(run.number)
        headers = {**run_headers(started.thread_id, started.run_id), **started.headers}
        return Done({"run_id": started.run_id}, through, headers)

    async def _newest(self, thread: Thread) -> Run | None:
        runs = await list_runs(self._services.database, thread.thread_id, limit=1)
        return runs[0] if runs else None

    async def _run(self, run_id: str) -> Run | None:
        try:
            run = await get_run(self._services.database, UUID(run_id))
        except ValueError:
            return None
        return run if run is not None and await sees_run(self._services.database, self._caller, run) else None

    async def _has_checkpoint(self, thread: Thread, checkpoint_id: str) -> bool:
        at = {"checkpoint_id": checkpoint_id}
        state = loads(await self._services.states.state(thread, checkpoint=at, subgraphs=False))
        return state.get("created_at") is not None


def _fork_of(config: RunConfig | None) -> tuple[RunConfig | None, str | None]:
    """A config without its checkpoint, and the checkpoint: JavaScript's client says there where a run begins."""
    checkpoint = ((config and config.configurable) or {}).get("checkpoint_id")
    if config is None or not isinstance(checkpoint, str):
        return config, None
    rest = {name: value for name, value in (config.configurable or {}).items() if name != "checkpoint_id"}
    return config.model_copy(update={"configurable": rest}), checkpoint


def _summary(state: dict[str, Any]) -> dict[str, Any]:
    metadata = state.get("metadata") or {}
    return {
        "id": (state.get("checkpoint") or {}).get("checkpoint_id"),
        "timestamp": state.get("created_at"),
        "step": metadata.get("step"),
        "metadata": metadata,
    }
