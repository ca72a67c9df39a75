"""An agent whose tools a person approves: LangChain's human-in-the-loop middleware, with a scripted model."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.middleware.human_in_the_loop import InterruptOnConfig
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool


class Scripted(BaseChatModel):
    """Calls both tools, then says what they answered."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        answers = [message.text for message in messages if isinstance(message, ToolMessage)]
        if answers:
            said = AIMessage(f"Done: {'; '.join(answers)}")
        else:
            send = {"name": "send_mail", "args": {"to": "alice@example.com", "text": "On Monday?"}, "id": "call_1"}
            delete = {"name": "delete_file", "args": {"path": "/tmp/report.txt"}, "id": "call_2"}
            said = AIMessage("I will write to Alice and delete the report.", tool_calls=[send, delete])
        return ChatResult(generations=[ChatGeneration(message=said)])


@tool
def send_mail(to: str, text: str) -> str:
    """Send a mail."""
    return f"mail to {to}: {text}"


@tool
def delete_file(path: str) -> str:
    """Delete a file."""
    return f"deleted {path}"


_DELETE: InterruptOnConfig = {"allowed_decisions": ["approve", "reject"]}
_MIDDLEWARE = HumanInTheLoopMiddleware(interrupt_on={"send_mail": True, "delete_file": _DELETE})
graph = create_agent(Scripted(), [send_mail, delete_file], middleware=[_MIDDLEWARE])
