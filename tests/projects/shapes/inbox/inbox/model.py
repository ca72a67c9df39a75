from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field


class Scripted(BaseChatModel):
    """Calls the first tool that it is bound to, with `arguments`, and then says what came of it."""

    arguments: dict
    bound: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        names = [tool["function"]["name"] if isinstance(tool, dict) else tool.name for tool in tools]
        return self.model_copy(update={"bound": names})

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if isinstance(messages[-1], ToolMessage):
            message = AIMessage(f"then: {messages[-1].content}")
        else:
            message = AIMessage("", tool_calls=[{"name": self.bound[0], "args": self.arguments, "id": "call-1"}])
        return ChatResult(generations=[ChatGeneration(message=message)])
