"""Calls of tools as runs: what is accepted for one, and what its end is as a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.auth import Principal
from relayrun_api.chat.translator import run_problem
from relayrun_api.http.problems import Problem
from relayrun_api.http.responses import loads
from relayrun_api.mcp.contents import contents_of
from relayrun_api.mcp.messages import RequestId
from relayrun_api.mcp.questions import form_of, text_of
from relayrun_api.runs.ending import Ending
from relayrun_api.runs.service import StartRun
from relayrun_api.runs.specs import assistant_metadata, config_of, context_of, spec_as_handlers_have_it
from relayrun_api.threads.service import ThreadRef
from relayrun_core.runs import Run, RunSpec
from relayrun_core.states import RunStatus

_OF_CALL = "mcp"
_THREAD, _RUN, _PROBLEM = "relayrun/thread_id", "relayrun/run_id", "relayrun/problem"
_QUESTIONS = "__interrupt__"


@dataclass(frozen=True)
class Call:
    """A request that a run answers: its id, by what the client knows its progress, and whether its user can be asked.

    The run's metadata has it, so that whoever goes on with the answer knows it, on whichever replica.
    """

    request_id: RequestId
    progress_token: RequestId | None = None
    elicits: bool = False

    def metadata(self) -> dict[str, Any]:
        """As the run's metadata has it."""
        return {"source": "mcp", _OF_CALL: {**vars(self)}}

    @classmethod
    def of(cls, run: Run) -> "Call | None":
        """The call that a run was started for; None for a run that no call started."""
        found = run.spec.metadata.get(_OF_CALL)
        if not isinstance(found, dict) or (request_id := found.get("request_id")) is None:
            return None
        return cls(request_id, found.get("progress_token"), bool(found.get("elicits")))


def start_of_call(call: Call, assistant: Assistant, caller: Principal, arguments: Mapping[str, Any]) -> StartRun:
    """The run for a call of an assistant's tool, on a thread of its own."""
    spec = spec_as_handlers_have_it(_spec(call, assistant, input=dict(arguments)), caller.kwargs)
    return StartRun(assistant, spec, mark=caller.metadata or {})


def start_of_answer(call: Call, assistant: Assistant, caller: Principal, thread: ThreadRef, answer: Any) -> StartRun:
    """The run with which a thread goes on that waits for an answer."""
    spec = spec_as_handlers_have_it(_spec(call, assistant, command={"resume": answer}), caller.kwargs)
    return StartRun(assistant, spec, thread, if_not_exists="reject", mark=caller.metadata or {})


def _spec(call: Call, assistant: Assistant, **asked: Any) -> RunSpec:
    return RunSpec(
        **asked,
        config=config_of(assistant, {}),
        assistant_configurable=assistant.row.config.get("configurable") or {},
        context=context_of(assistant, None),
        metadata={**assistant.row.metadata, **call.metadata(), **assistant_metadata(assistant)},
        stream_modes=["updates", "custom"],
    )


def call_result(ending: Ending, thread_id: UUID, run_id: UUID, *, asks: str | None = None) -> Any:
    """The result of a run that has ended. `asks`: the version in which the result itself asks, if forms can."""
    values = loads(ending.values)
    questions = values.pop(_QUESTIONS, []) if isinstance(values, dict) else []
    ids = {_THREAD: str(thread_id), _RUN: str(run_id)}
    match ending.status:
        case RunStatus.SUCCESS:
            structured = values if isinstance(values, dict) else {"result": values}
            return _result(contents_of(values), structured, ids)
        case RunStatus.INTERRUPTED:
            forms = {question["id"]: form_of(question, asks) for question in questions} if asks else {}
            if forms and all(forms.values()):
                return _questions(forms, run_id)
            return _result(_asking(thread_id, questions), {"thread_id": str(thread_id), "interrupts": questions}, ids)
        case RunStatus.CANCELLED:
            return _result("The run was cancelled.", None, ids, is_error=True)
        case _:
            problem = run_problem(ending.error or {})
            return _result(problem.detail, None, {**ids, _PROBLEM: problem.body()}, is_error=True)


def _questions(forms: Mapping[str, Any], run_id: UUID) -> Any:
    from mcp_types import ElicitRequest, InputRequiredResult

    requests = {
        identity: ElicitRequest.model_validate({"method": "elicitation/create", "params": params})
        for identity, params in forms.items()
    }
    return InputRequiredResult(input_requests=dict(requests), request_state=str(run_id))


def refused_result(problem: Problem) -> Any:
    """The result of a call that was not accepted."""
    return _result(problem.detail, None, {_PROBLEM: problem.body()}, is_error=True)


def _result(
    said: str | list[Any], structured: Mapping[str, Any] | None, meta: Mapping[str, Any], *, is_error: bool = False
) -> Any:
    from mcp_types import CallToolResult, TextContent

    content = [TextContent(text=said)] if isinstance(said, str) else said
    return CallToolResult(content=content, structured_content=structured, is_error=is_error, _meta=dict(meta))


def _asking(thread_id: UUID, questions: list[Any]) -> str:
    shown = "; ".join(text_of(question) for question in questions)
    return (
        f"The agent stopped and waits for an answer{': ' + shown if shown else ''}. To answer, call the tool "
        f"resume_run with thread_id {thread_id} and the answer."
    )
