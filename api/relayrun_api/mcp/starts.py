"""Starts the runs of calls: a new one on a thread of its own, or one that answers what an earlier one asked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request

from relayrun_api.auth import Principal
from relayrun_api.auth.admission import admitted_for
from relayrun_api.http.errors import Invalid
from relayrun_api.mcp import permissions
from relayrun_api.mcp.calls import Call, start_of_answer, start_of_call
from relayrun_api.mcp.errors import INVALID_PARAMS, McpError
from relayrun_api.mcp.messages import Dialect, Message, RequestId
from relayrun_api.mcp.questions import answer_of
from relayrun_api.mcp.stream import questions_of
from relayrun_api.mcp.tools import RESUME, assistant_named
from relayrun_api.runs.ending import ending_of
from relayrun_api.runs.service import StartedRun
from relayrun_api.runs.terms import limit_of
from relayrun_api.services import Services
from relayrun_api.threads.service import ThreadRef, visible_thread
from relayrun_core.db.finish import read_outcome
from relayrun_core.db.starting import OnceKey, Terms
from relayrun_core.ids import uuid_of
from relayrun_core.runs import Run

_KEY_HEADER, _KEY_MEMBER = "idempotency-key", "relayrun/idempotency_key"
_LONGEST_KEY = 255


@dataclass(frozen=True)
class Begun:
    """The run of a call. `comes_back`: its client will, should its connection be lost, so that nothing is cancelled."""

    run: StartedRun
    call: Call
    comes_back: bool = False


class Starts:
    """Starts runs for one message."""

    def __init__(
        self,
        request: Request,
        services: Services,
        caller: Principal,
        reader: str,
        message: Message,
        dialect: Dialect,
    ) -> None:
        self._request = request
        self._services = services
        self._caller = caller
        self._reader = reader
        self._message = message
        self._dialect = dialect

    async def of_call(self, call: Call) -> Begun:
        """The run of tools/call.

        Raises McpError for an unknown tool, and what the start of a run does.
        """
        params = self._message.params
        arguments: Mapping[str, Any] = params.get("arguments") or {}
        if params.get("requestState") is not None:
            return await self._answered(call, params["requestState"], params.get("inputResponses") or {})
        key = self._key()
        if params["name"] == RESUME:
            return Begun(await self._resumed(call, arguments, key), call, key is not None)
        name = await assistant_named(self._services, self._reader, self._caller, params["name"])
        body = {"assistant_id": name, "input": dict(arguments)}
        caller = await admitted_for(self._request, self._caller, permissions.call_tool(body))
        assistant = await self._services.assistant_lookup.to_run(caller, name)
        start = start_of_call(call, assistant, caller, arguments)
        started = await self._services.runs.start(caller, start, self._terms(key, [name, arguments]))
        return Begun(started, call, key is not None)

    async def on_thread(
        self, call: Call, thread_id: UUID, answer: Any, key: str | None = None, meant: Any = None
    ) -> StartedRun:
        """The run with which a thread goes on that waits. Raises ThreadNotFound, ResumeConflict."""
        services = self._services
        body = {"assistant_id": None, "command": {"resume": answer}}
        caller = await admitted_for(self._request, self._caller, permissions.resume(str(thread_id), body))
        ref = ThreadRef(thread_id, str(thread_id), None)
        thread = await visible_thread(services.database, caller, ref)
        asked = str(thread.metadata.get("assistant_id") or thread.metadata.get("graph_id"))
        assistant = await services.assistant_lookup.to_run(caller, asked, thread_id)
        start = start_of_answer(call, assistant, caller, ref, answer)
        return await services.runs.start(caller, start, self._terms(key, [str(thread_id), answer, meant]))

    async def to_question(self, call: Call, run: Run, contents: Mapping[str, Any]) -> StartedRun | None:
        """The run that takes answers to what a run asks, once; None where it did not ask that.

        `contents`: forms that were filled in, by the question's id.
        """
        outcome = await read_outcome(self._services.database, run.run_id)
        questions = {str(question["id"]): question for question in questions_of(ending_of(outcome))}
        answers = {name: answer_of(questions[name], content) for name, content in contents.items() if name in questions}
        if not answers:
            return None
        return await self.on_thread(call, run.thread_id, answers, answer_key(run.run_id, sorted(answers)))

    async def _resumed(self, call: Call, arguments: Mapping[str, Any], key: str | None) -> StartedRun:
        thread_id = uuid_of(str(arguments.get("thread_id")))
        if thread_id is None or "answer" not in arguments:
            raise Invalid("`thread_id` must be the id of the thread that waits, and `answer` what it waits for.")
        return await self.on_thread(call, thread_id, arguments["answer"], key)

    async def _answered(self, call: Call, state: Any, responses: Mapping[str, Any]) -> Begun:
        """The run that goes on; where the user would not answer, the one that asks, which is not asked again."""
        run_id = uuid_of(str(state))
        if run_id is None:
            raise McpError(INVALID_PARAMS, "`requestState` is not from this server: call the tool again.")
        run = await self._services.runs.visible(self._caller, run_id)
        contents = {
            name: response.get("content") or {}
            for name, response in responses.items()
            if isinstance(response, dict) and response.get("action") == "accept"
        }
        started = await self.to_question(call, run, contents)
        if started is None:
            return Begun(self._services.runs.join(run), replace(call, elicits=False), comes_back=True)
        return Begun(started, call)

    def _key(self) -> str | None:
        """What makes this call the same as an earlier one: what its client says, or its id in its session."""
        said = self._message.meta.get(_KEY_MEMBER, self._request.headers.get(_KEY_HEADER))
        if said is not None:
            if not isinstance(said, str) or not 0 < len(said) <= _LONGEST_KEY or not said.isprintable():
                raise Invalid(f"An idempotency key has 1 to {_LONGEST_KEY} printable characters: send another.")
            return said
        if self._dialect.session is None or self._message.id is None:
            return None
        return call_key(self._dialect.session, self._message.id)

    def _terms(self, key: str | None, meant: Any) -> Terms:
        address = self._request.client.host if self._request.client else None
        fingerprint = hashlib.sha256(orjson.dumps(meant, option=orjson.OPT_SORT_KEYS)).digest()
        return Terms(
            limit=limit_of(self._services.settings, self._caller, address),
            once=None if key is None else OnceKey(self._caller.owner or "", key, fingerprint),
            headers=self._request.headers.items(),
        )


def call_key(session: str, request_id: RequestId) -> str:
    """Under what the run of a request in a session is found again."""
    return f"mcp:{hashlib.sha256(orjson.dumps([session, request_id])).hexdigest()}"


def answer_key(run_id: UUID, questions: list[str]) -> str:
    """Under what the run is found that takes the answers to these questions."""
    return f"mcp:{run_id}:{hashlib.sha256(orjson.dumps(questions)).hexdigest()}"
